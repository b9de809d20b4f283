"""The process that does a run's work: `python -m dizuo.runs.worker RUN_DIR FENCE`.

It needs no hub and no database: only the run's folder. It works only while it holds the run's lock
and its fence is the newest, so two never work on one run, and an old one never goes on. Whatever
happens inside it is written down as the attempt's result, except its own sudden death.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from dizuo.core.digests import canonical_json
from dizuo.core.errors import DizuoError
from dizuo.core.progress import Progress
from dizuo.families.base import Cancelled
from dizuo.runs.errors import RunCrashed
from dizuo.runs.events import EventWriter
from dizuo.runs.folder import (
    AttemptFolder,
    AttemptPlan,
    AttemptResult,
    ResultStatus,
    RunFolder,
    try_lock,
)
from dizuo.runs.kinds import Workspace, load_kind
from dizuo.runs.process import identity_of

EXIT_LOCKED = 75
"""Another worker holds the run (EX_TEMPFAIL)."""
EXIT_FENCED = 76
"""A newer attempt exists (EX_PROTOCOL)."""

_logger = logging.getLogger("dizuo.runs.worker")


class Heartbeat:
    """Touches the lease of an attempt from a thread of its own, while the work gets on.

    A process that is stopped or swapped out beats no more; nor does one whose work has not called
    `note` for the plan's `stall_seconds`.
    """

    def __init__(self, lease: Path, plan: AttemptPlan) -> None:
        self._lease = lease
        self._plan = plan
        self._noted = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Beat at once, and from now on."""
        self._lease.touch()
        self._thread.start()

    def note(self) -> None:
        """The work has got on."""
        self._noted = time.monotonic()

    def stop(self) -> None:
        """Beat no more."""
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._plan.beat_seconds):
            if time.monotonic() - self._noted <= self._plan.stall_seconds:
                os.utime(self._lease)


class Worker:
    """One attempt at a run, from lock to result."""

    def __init__(self, folder: RunFolder, attempt: AttemptFolder) -> None:
        self._folder = folder
        self._attempt = attempt
        self._heartbeat = Heartbeat(attempt.lease_path, attempt.plan())
        self._terminated = threading.Event()

    def run(self) -> ResultStatus:
        """Work to the end and write the result down."""
        signal.signal(signal.SIGTERM, self._terminate)
        self._attempt.write_identity(identity_of(os.getpid(), self._attempt.fence))
        self._heartbeat.start()
        result = self._outcome()
        self._attempt.write_result(result)
        self._heartbeat.stop()
        return result.status

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._terminated.set()

    def _cancelled(self) -> bool:
        return self._terminated.is_set() or self._folder.cancel_requested()

    def _outcome(self) -> AttemptResult:
        fence = self._attempt.fence
        try:
            result = self._work()
        except Cancelled:
            # A SIGTERM alone is the machine or the hub going down: the work shall go on later.
            asked = self._folder.cancel_requested()
            status = ResultStatus.CANCELLED if asked else ResultStatus.INTERRUPTED
            return AttemptResult(fence, status, {}, {})
        except DizuoError as error:
            _logger.info("the run failed: %s", error)
            return AttemptResult(fence, ResultStatus.FAILED, {}, _inner(error))
        except Exception as error:  # the process's edge: logged, and told in a sentence
            _logger.exception("the run crashed")
            return AttemptResult(fence, ResultStatus.FAILED, {}, _inner(_crashed(error)))
        return AttemptResult(fence, ResultStatus.SUCCEEDED, result, {})

    def _work(self) -> dict[str, Any]:
        kind_name, job = self._folder.read_job()
        workspace = Workspace(self._folder.checkpoints, self._attempt.scratch)
        workspace.checkpoints.mkdir(exist_ok=True)
        workspace.scratch.mkdir(exist_ok=True)
        write_event = EventWriter(self._attempt.events_path)

        def report(event: Progress) -> None:
            self._heartbeat.note()
            write_event(event)

        try:
            result = load_kind(kind_name).work(job, workspace, report, self._cancelled)
        finally:
            write_event.close()
        canonical_json(result)  # what cannot be written down fails here, with a reason
        return result


def _crashed(error: Exception) -> RunCrashed:
    return RunCrashed(
        f"The run stopped on an unexpected error: {type(error).__name__}: {str(error)[:500]}.",
        next_step="See its log; if the cause lies outside this machine's resources, report it.",
    )


def _inner(error: DizuoError) -> dict[str, Any]:
    inner = error.as_dict()["error"]
    assert isinstance(inner, dict)
    return inner


def _hold_lock(folder: RunFolder, inherited: int | None) -> bool:
    """Make this process hold the run's lock to its end, and no program that it starts."""
    if inherited is None:
        return folder.acquire() is not None
    os.set_inheritable(inherited, False)
    is_this_lock = os.path.samestat(os.fstat(inherited), folder.lock_path.stat())
    return is_this_lock and try_lock(inherited)


def main(arguments: list[str] | None = None) -> int:
    """The command. Exits with 0 once a result is written, whatever it says."""
    parser = argparse.ArgumentParser(prog="python -m dizuo.runs.worker", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="the run's folder")
    parser.add_argument("fence", type=int, help="the number of the attempt")
    parser.add_argument("--lock-fd", type=int, help="a descriptor that holds the run's lock")
    given = parser.parse_args(arguments)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    folder = RunFolder(given.run_dir)
    if not _hold_lock(folder, given.lock_fd):
        _logger.error("another worker holds this run; nothing was done")
        return EXIT_LOCKED
    attempt = folder.attempt(given.fence)
    if folder.newest_fence() != attempt.fence:
        _logger.error("attempt %d is not the newest; nothing was done", attempt.fence)
        return EXIT_FENCED
    if attempt.result() is None:
        status = Worker(folder, attempt).run()
        _logger.info("attempt %d %s", attempt.fence, status.value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
