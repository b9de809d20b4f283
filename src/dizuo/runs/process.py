"""Processes: starting a worker that outlives the hub, telling it apart, ending it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

from dizuo.runs.folder import AttemptFolder, WorkerIdentity

LOCK_DESCRIPTOR = 9
"""The number under which a worker inherits its run's lock."""

_THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
"""Read by the libraries when they are imported, so they must stand before the worker starts."""

_WAITING = {"GOMP_SPINCOUNT": "10000"}
"""How long a thread looks for its next piece of work before it sleeps. GNU OpenMP looks so long
that two threads beside another busy program are many times slower than one; with this large steps
are 1.4 times slower there, and 1.8 times faster where a core is free (docs/decisions/0309)."""

_SAME_START_SECONDS = 2.0
"""Start times are derived from the wall clock at boot, which may be corrected a little."""


def spawn_worker(run_path: Path, attempt: AttemptFolder, lock: int) -> int:
    """Start the worker of an opened attempt in a session of its own; its pid.

    The worker is born holding `lock` (a descriptor of the run's lock file), so there is no moment
    in which it lives without proof. The caller closes its own copy afterwards. Stdout and stderr go
    to the attempt's log. As in `multiprocessing`, the worker gets this process's import path.
    """
    arguments = [str(run_path), str(attempt.fence), "--lock-fd", str(LOCK_DESCRIPTOR)]
    command = [sys.executable, "-m", "dizuo.runs.worker", *arguments]
    log_path, log_flags = str(attempt.log_path), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        command,
        _environment(attempt.plan().threads),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, lock, LOCK_DESCRIPTOR),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log_path, log_flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    pools = {name: str(threads) for name in _THREAD_POOLS}
    return {**_WAITING, **os.environ, **pools, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def identity_of(pid: int, fence: int) -> WorkerIdentity:
    """The identity of a process that is surely there: this one, or a child not yet reaped."""
    return WorkerIdentity(pid, psutil.Process(pid).create_time(), fence)


def is_alive(identity: WorkerIdentity) -> bool:
    """Whether that very process, not another with its pid, still runs."""
    return _holder_of_pid(identity) == "worker"


def ask_to_stop(identity: WorkerIdentity) -> None:
    """SIGTERM: the worker saves and ends by itself. Nothing happens if it is gone."""
    if is_alive(identity):
        with suppress(ProcessLookupError):
            os.kill(identity.pid, signal.SIGTERM)


def end(identity: WorkerIdentity) -> None:
    """SIGKILL to the worker and to whatever it started (it leads a process group of its own).

    The group may outlive the worker. The kernel gives its number to no new process while one of the
    group lives; if another process has it by now, there is nobody left to end.
    """
    if _holder_of_pid(identity) != "stranger":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(identity.pid, signal.SIGKILL)


def _holder_of_pid(identity: WorkerIdentity) -> Literal["worker", "stranger", "nobody"]:
    try:
        process = psutil.Process(identity.pid)
        started, status = process.create_time(), process.status()
    except psutil.NoSuchProcess:
        return "nobody"
    if abs(started - identity.started_seconds) > _SAME_START_SECONDS:
        return "stranger"
    return "nobody" if status == psutil.STATUS_ZOMBIE else "worker"


def reap(pid: int) -> None:
    """Collect the exit status of a child that has ended; nothing happens for anybody else."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
