"""What hub and worker leave each other in files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dizuo.runs.errors import RunFormatUnknown
from dizuo.runs.folder import (
    AttemptPlan,
    AttemptResult,
    ResultStatus,
    RunFolder,
    WorkerIdentity,
    run_folder,
)

PLAN = AttemptPlan(fence=2, threads=3, beat_seconds=0.5, stall_seconds=9)


def test_folder_lies_in_the_home(tmp_path: Path) -> None:
    assert run_folder(tmp_path, "r1").path == tmp_path / "runs" / "r1"


def test_job_comes_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not folder.has_job()
    folder.write_job("tune", {"name": "底座"})
    assert folder.has_job()
    assert folder.read_job() == ("tune", {"name": "底座"})


def test_job_of_a_later_version_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "job.json").write_text(json.dumps({"format": 2, "kind": "tune", "job": {}}))
    with pytest.raises(RunFormatUnknown, match="format 2"):
        folder.read_job()


def test_attempt_is_known_once_it_is_opened(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.newest_fence() == 0
    folder.attempt(9).path.mkdir()
    assert folder.newest_fence() == 0
    folder.attempt(2).open(PLAN)
    folder.attempt(10).open(PLAN)
    assert [attempt.fence for attempt in folder.attempts()] == [2, 10]
    assert folder.newest_fence() == 10
    assert folder.attempt(2).plan() == PLAN


def test_what_a_worker_says_comes_back(tmp_path: Path) -> None:
    attempt = RunFolder(tmp_path).attempt(2)
    assert attempt.identity() is None
    assert attempt.result() is None
    assert attempt.beat() == 0
    identity = WorkerIdentity(7, 1.5, 2)
    result = AttemptResult(2, ResultStatus.SUCCEEDED, {"value": 1}, {})
    attempt.write_identity(identity)
    attempt.write_result(result)
    attempt.lease_path.touch()
    assert attempt.identity() == identity
    assert attempt.result() == result
    assert attempt.beat() > 0


def test_result_under_another_fence_is_none(tmp_path: Path) -> None:
    attempt = RunFolder(tmp_path).attempt(2)
    attempt.write_result(AttemptResult(1, ResultStatus.SUCCEEDED, {}, {}))
    assert attempt.result() is None


def test_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r1")
    assert not folder.is_locked()
    held = folder.acquire()
    assert held is not None
    assert folder.is_locked()
    assert folder.acquire() is None
    copy = os.dup(held)
    os.close(held)
    assert folder.is_locked()
    os.close(copy)
    assert not folder.is_locked()


def test_cancel_marker(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not folder.cancel_requested()
    folder.request_cancel()
    folder.request_cancel()
    assert folder.cancel_requested()


def test_discarding_keeps_what_tells_the_story(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.discard_work()
    folder.attempt(1).open(PLAN)
    for path in (folder.checkpoints / "deep", folder.attempt(1).scratch):
        path.mkdir(parents=True)
        (path / "file").touch()
    folder.discard_work()
    assert not folder.checkpoints.exists()
    assert not folder.attempt(1).scratch.exists()
    assert folder.newest_fence() == 1
