"""The demo's processes: a hub and its sites, started on free loopback ports, ended by id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from dizuo.core.errors import Unavailable

_START_SECONDS = 90.0
STOP_SECONDS = 20.0
"""How long a process that is asked to end may take."""
_PROBE_SECONDS = 0.1


class ProcessFailed(Unavailable):
    """A process of the demo ended, or did not answer in time."""

    code = "demo_process_failed"


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Process:
    """One running program of ours: its name for people, its log, its handle."""

    name: str
    log: Path
    popen: subprocess.Popen[bytes]

    def ensure_alive(self) -> None:
        """Raise if it has ended.

        Raises:
            ProcessFailed: with the last line it wrote.
        """
        if self.popen.poll() is not None:
            words = " ".join(self.log.read_text(errors="replace").split("\n")[-3:]).strip()
            raise ProcessFailed(
                f"{self.name} ended with status {self.popen.returncode}: {words}",
                next_step=f"Read {self.log}.",
            )

    def stop(self) -> None:
        """Ask it to end; after a while, make it."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


@dataclass(slots=True)
class Fleet:
    """Every process the demo started; leaving the block ends them unless `keep` was set.

    `endings` end what those processes left behind, after them.
    """

    logs: Path
    processes: dict[str, Process] = field(default_factory=dict)
    endings: list[Callable[[], None]] = field(default_factory=list)
    keep: bool = False

    def __enter__(self) -> Fleet:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        if not self.keep:
            for process in reversed(self.processes.values()):
                process.stop()
            for end in self.endings:
                end()

    def start(self, name: str, arguments: Sequence[str], environment: dict[str, str]) -> Process:
        """Start `dizuo ARGUMENTS` in a session of its own, its output in a log file."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as stream:
            popen = subprocess.Popen(
                [sys.executable, "-m", "dizuo.cli.main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        process = Process(name, log, popen)
        self.processes[name] = process
        return process


def wait_until_answers(process: Process, url: str) -> None:
    """Return when `url` answers 200.

    Raises:
        ProcessFailed: the process ended, or a minute and a half went by.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        process.ensure_alive()
        try:
            if httpx2.get(url, timeout=2).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(_PROBE_SECONDS)
    raise ProcessFailed(
        f"{process.name} did not answer at {url}.", next_step=f"Read {process.log}."
    )
