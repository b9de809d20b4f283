"""Telling processes apart, and ending the right one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.runs.conftest import until

from dizuo.runs import process
from dizuo.runs.folder import WorkerIdentity

SLEEPER = [sys.executable, "-c", "import threading; threading.Event().wait()"]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, threading\n"
    f"child = subprocess.Popen({SLEEPER!r})\n"
    "print(child.pid, flush=True)\n"
    "sys.stdin.readline()",
]


def test_a_workers_threads_are_as_many_as_planned_and_wait_briefly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    found = process._environment(3)
    assert (found["OMP_NUM_THREADS"], found["GOMP_SPINCOUNT"]) == ("3", "10000")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")  # whoever runs the hub knows better
    assert process._environment(3)["GOMP_SPINCOUNT"] == "7"


def test_process_is_alive_until_it_is_ended() -> None:
    with subprocess.Popen(SLEEPER, start_new_session=True) as child:
        identity = process.identity_of(child.pid, 1)
        assert process.is_alive(identity)
        process.end(identity)
        until(lambda: not process.is_alive(identity))
        child.wait()
        process.end(identity)
        process.ask_to_stop(identity)
        assert child.returncode == -9


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    with subprocess.Popen(SLEEPER, start_new_session=True) as child:
        identity = process.identity_of(child.pid, 1)
        stranger = replace(identity, started_seconds=identity.started_seconds - 60)
        assert not process.is_alive(stranger)
        process.ask_to_stop(stranger)
        process.end(stranger)
        assert process.is_alive(identity)
        process.ask_to_stop(identity)
        assert child.wait(30) == -15


def test_what_a_worker_left_behind_is_ended_too() -> None:
    with subprocess.Popen(
        PARENT, start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        left = psutil.Process(int(parent.stdout.readline()))
        identity = process.identity_of(parent.pid, 1)
        parent.stdin.close()
        parent.wait(30)
    assert not process.is_alive(identity)
    assert left.is_running()
    process.end(identity)
    until(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE)


def test_reaping_what_is_not_ours_does_nothing(tmp_path: Path) -> None:
    process.reap(1)
    assert not process.is_alive(WorkerIdentity(2**22 + 1, 0.0, 1))
