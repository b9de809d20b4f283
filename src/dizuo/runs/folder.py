"""A run's folder: what the hub and a worker say to each other, in files that outlive both.

    <home>/runs/<id>/
        job.json            what to do, fully resolved; written once
        lock                held (flock) by the worker from before its first instruction to its end
        cancel              exists once somebody asked to stop
        checkpoints/        shared by all attempts
        attempt-<fence>/
            attempt.json    the hub's conditions for this attempt; makes the fence known
            worker.json     who works on it: pid, start time of the process, fence
            lease           touched while the worker lives and gets on
            events.jsonl    one Progress a line
            log.txt         stdout and stderr
            scratch/        the worker's own; gone when the run has ended
            result.json     the last thing a worker writes

The lock is the proof of life that survives the hub: the kernel lets go of it when the last process
that shares it is gone, however it went. Fences only grow, and the newest attempt is known from the
folder alone, so a worker of an older one finds out without asking anybody.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dizuo.core.files import write_atomic, write_json
from dizuo.runs.errors import RunFormatUnknown

JOB_FORMAT = 1


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """The hub's conditions for one attempt.

    The worker uses `threads` threads, touches its lease every `beat_seconds`, and stops doing so
    when its work has reported nothing for `stall_seconds`.
    """

    fence: int
    threads: int
    beat_seconds: float
    stall_seconds: float


class ResultStatus(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What a worker leaves behind: `result` of a success, or `error` of a failure."""

    fence: int
    status: ResultStatus
    result: dict[str, Any]
    error: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Which process it is: pids come back, a pid with its start time (Unix seconds) does not."""

    pid: int
    started_seconds: float
    fence: int


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """The folder of one attempt."""

    path: Path
    fence: int

    @property
    def log_path(self) -> Path:
        """Where the worker's stdout and stderr go."""
        return self.path / "log.txt"

    @property
    def events_path(self) -> Path:
        """Where the worker's progress goes."""
        return self.path / "events.jsonl"

    @property
    def lease_path(self) -> Path:
        """What the worker touches while it is well."""
        return self.path / "lease"

    @property
    def scratch(self) -> Path:
        """The worker's own folder."""
        return self.path / "scratch"

    def open(self, plan: AttemptPlan) -> None:
        """Make the attempt known. From here on older ones are fenced off."""
        write_json(self.path / "attempt.json", asdict(plan))

    def plan(self) -> AttemptPlan:
        """The conditions that `open` wrote.

        Raises:
            FileNotFoundError: nobody opened this attempt.
        """
        return AttemptPlan(**json.loads((self.path / "attempt.json").read_bytes()))

    def write_identity(self, identity: WorkerIdentity) -> None:
        """Say who works on this attempt."""
        write_json(self.path / "worker.json", asdict(identity))

    def identity(self) -> WorkerIdentity | None:
        """Who works, or worked, on this attempt, once that is known."""
        try:
            return WorkerIdentity(**json.loads((self.path / "worker.json").read_bytes()))
        except FileNotFoundError:
            return None

    def write_result(self, result: AttemptResult) -> None:
        """The worker's last word."""
        write_json(self.path / "result.json", asdict(result))

    def result(self) -> AttemptResult | None:
        """The worker's last word, if it had one under this very fence."""
        try:
            stored = json.loads((self.path / "result.json").read_bytes())
        except FileNotFoundError:
            return None
        found = AttemptResult(**{**stored, "status": ResultStatus(stored["status"])})
        return found if found.fence == self.fence else None

    def beat(self) -> int:
        """A number that changes with every sign of life; 0 before the first."""
        try:
            return self.lease_path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def lock_path(self) -> Path:
        """The file whose lock is the proof that a worker lives."""
        return self.path / "lock"

    @property
    def checkpoints(self) -> Path:
        """Where work saves how far it is; what one attempt leaves the next one finds."""
        return self.path / "checkpoints"

    def has_job(self) -> bool:
        """Whether the job was prepared."""
        return (self.path / "job.json").exists()

    def write_job(self, kind: str, job: dict[str, Any]) -> None:
        """What to do, for every attempt the same."""
        write_json(self.path / "job.json", {"format": JOB_FORMAT, "kind": kind, "job": job})

    def read_job(self) -> tuple[str, dict[str, Any]]:
        """The kind and its job.

        Raises:
            FileNotFoundError: it was not prepared.
            RunFormatUnknown: another version of dizuo prepared it.
        """
        stored = json.loads((self.path / "job.json").read_bytes())
        if stored["format"] != JOB_FORMAT:
            raise RunFormatUnknown(
                f"The run's job has format {stored['format']}; this version reads {JOB_FORMAT}.",
                next_step="Submit the run again.",
            )
        return stored["kind"], stored["job"]

    def attempt(self, fence: int) -> AttemptFolder:
        """The folder of the attempt with this fence."""
        return AttemptFolder(self.path / f"attempt-{fence}", fence)

    def attempts(self) -> list[AttemptFolder]:
        """Every attempt that was opened, oldest first."""
        fences = (
            path.parent.name.split("-")[1] for path in self.path.glob("attempt-*/attempt.json")
        )
        return [self.attempt(fence) for fence in sorted(map(int, fences))]

    def first_plan(self) -> AttemptPlan | None:
        """The conditions of the oldest attempt; None before it."""
        attempts = self.attempts()
        return attempts[0].plan() if attempts else None

    def newest_fence(self) -> int:
        """The fence of the newest attempt; 0 before the first."""
        attempts = self.attempts()
        return attempts[-1].fence if attempts else 0

    def acquire(self) -> int | None:
        """Take the lock: a descriptor that holds it until every copy is closed, or None if another
        process has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        if try_lock(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    def is_locked(self) -> bool:
        """Whether a worker, or a process it started, is alive."""
        descriptor = self.acquire()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def request_cancel(self) -> None:
        """Ask the worker, and every later one, to stop."""
        write_atomic(self.path / "cancel", b"")

    def cancel_requested(self) -> bool:
        """Whether somebody asked to stop."""
        return (self.path / "cancel").exists()

    def work(self) -> list[Path]:
        """What only an unfinished run needs, and is there: checkpoints and scratch folders."""
        places = (self.checkpoints, *self.path.glob("attempt-*/scratch"))
        return [path for path in places if path.is_dir()]

    def discard_work(self) -> None:
        """Remove what only an unfinished run needs."""
        for path in self.work():
            shutil.rmtree(path, ignore_errors=True)


def run_folder(home: Path, run_id: str) -> RunFolder:
    """The folder of a run in a hub's home."""
    return RunFolder(home / "runs" / run_id)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock on an open file without waiting; whether it is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
