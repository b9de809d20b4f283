"""The worker as a command of its own: locks, fences, and every way to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.runs.conftest import until

from dizuo.runs import worker
from dizuo.runs.folder import AttemptPlan, ResultStatus, RunFolder
from dizuo.runs.worker import EXIT_FENCED, EXIT_LOCKED, Heartbeat

WAIT = 60


@pytest.fixture
def folder(tmp_path: Path, counting_installed: None) -> RunFolder:
    (tmp_path / "diary").mkdir()
    return RunFolder(tmp_path / "run")


def prepare(folder: RunFolder, fence: int = 1, **job: Any) -> None:
    diary = str(folder.path.parent / "diary")
    folder.write_job(job.pop("kind", "counting"), {"steps": 1, "diary": diary, **job})
    folder.attempt(fence).open(AttemptPlan(fence, 1, 0.05, 60))


def command(folder: RunFolder, fence: int = 1) -> list[str]:
    return [sys.executable, "-m", "dizuo.runs.worker", str(folder.path), str(fence)]


def run(folder: RunFolder, fence: int = 1) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        command(folder, fence),
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )


@contextmanager
def held(folder: RunFolder, **job: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that waits at its first step."""
    prepare(folder, hold=["step-0"], **job)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command(folder), env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until((folder.path.parent / "diary" / "at-step-0").exists)
            yield process
        finally:
            process.kill()


def test_worker_by_hand(folder: RunFolder) -> None:
    prepare(folder)
    assert run(folder).returncode == 0
    result = folder.attempt(1).result()
    assert result is not None
    assert result.status is ResultStatus.SUCCEEDED
    assert not folder.is_locked()


def test_attempt_that_has_a_result_is_not_worked_on_again(folder: RunFolder) -> None:
    prepare(folder)
    run(folder)
    diary = folder.path.parent / "diary" / "steps"
    before = diary.read_text()
    assert run(folder).returncode == 0
    assert diary.read_text() == before


def test_second_worker_never_gets_past_the_lock(folder: RunFolder) -> None:
    with held(folder) as first:
        second = run(folder)
        assert second.returncode == EXIT_LOCKED
        assert "another worker holds this run" in second.stderr
        assert first.poll() is None
        identity = folder.attempt(1).identity()
        assert identity is not None
        assert identity.pid == first.pid


def test_worker_of_an_old_fence_never_starts(folder: RunFolder) -> None:
    prepare(folder, 1)
    prepare(folder, 2)
    fenced = run(folder, 1)
    assert fenced.returncode == EXIT_FENCED
    assert "not the newest" in fenced.stderr
    assert folder.attempt(1).result() is None
    assert not (folder.path.parent / "diary" / "steps").exists()


def test_lock_of_another_file_is_no_lock(folder: RunFolder, tmp_path: Path) -> None:
    prepare(folder)
    held_lock = folder.acquire()
    with (tmp_path / "other").open("w") as other:
        status = worker.main([str(folder.path), "1", "--lock-fd", str(other.fileno())])
    assert status == EXIT_LOCKED
    assert held_lock is not None
    os.close(held_lock)


@pytest.mark.parametrize(
    ("job", "code", "words"),
    [
        ({"fail": "The rows are wrong."}, "invalid_input", "The rows are wrong."),
        ({"crash": "one by zero"}, "run_crashed", "ZeroDivisionError: one by zero"),
        ({"steps": "three"}, "run_crashed", "TypeError"),
        ({"kind": "unheard-of"}, "unknown_run_kind", "unheard-of"),
    ],
)
def test_failure_is_told_in_a_sentence(
    folder: RunFolder, job: dict[str, Any], code: str, words: str
) -> None:
    prepare(folder, **job)
    assert run(folder).returncode == 0
    result = folder.attempt(1).result()
    assert result is not None
    assert result.status is ResultStatus.FAILED
    assert result.error["code"] == code
    assert words in result.error["message"]
    assert "Traceback" not in result.error["message"]


def test_result_that_is_not_json_fails(folder: RunFolder) -> None:
    prepare(folder, infinite=True)
    run(folder)
    result = folder.attempt(1).result()
    assert result is not None
    assert result.error["code"] == "run_crashed"


@pytest.mark.parametrize(
    ("asked", "status"), [(True, ResultStatus.CANCELLED), (False, ResultStatus.INTERRUPTED)]
)
def test_sigterm_stops_the_work(folder: RunFolder, asked: bool, status: ResultStatus) -> None:
    with held(folder) as process:
        if asked:
            folder.request_cancel()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
    result = folder.attempt(1).result()
    assert result is not None
    assert result.status is status


def test_marker_alone_stops_the_work(folder: RunFolder) -> None:
    with held(folder) as process:
        folder.request_cancel()
        assert process.wait(WAIT) == 0
    result = folder.attempt(1).result()
    assert result is not None
    assert result.status is ResultStatus.CANCELLED


def test_lease_is_touched_while_the_worker_lives(folder: RunFolder) -> None:
    with held(folder):
        attempt = folder.attempt(1)
        first = attempt.beat()
        until(lambda: attempt.beat() > first)


def test_heart_stops_when_the_work_stalls_and_beats_again(tmp_path: Path) -> None:
    lease = tmp_path / "lease"
    heartbeat = Heartbeat(lease, AttemptPlan(1, 1, beat_seconds=0.01, stall_seconds=0.1))
    heartbeat.start()
    until(lambda: _is_quiet(lease))
    quiet = lease.stat().st_mtime_ns
    heartbeat.note()
    until(lambda: lease.stat().st_mtime_ns > quiet)
    heartbeat.stop()


def _is_quiet(lease: Path) -> bool:
    return time.time_ns() - lease.stat().st_mtime_ns > 300_000_000
