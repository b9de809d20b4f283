"""An agent as a user runs it: a process started by the command line, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil
from tests.agent.hub_simulator import PATIENCE_SECONDS, HubSimulator

from dizuo.agent.home import AgentHome
from dizuo.agent.join import JoinRequest, join

ROOT = Path(__file__).parents[2]
_LOOK_SECONDS = 0.01
QUICK = {
    "DIZUO_AGENT_RETRY_SECONDS": "0.2",
    "DIZUO_AGENT_WATCH_SECONDS": "0.1",
    "DIZUO_AGENT_DRAIN_SECONDS": "5",
    "DIZUO_AGENT_HTTP_TIMEOUT_SECONDS": "5",
    "DIZUO_AGENT_MEMORY_RESERVE_BYTES": "0",
}
"""Waits that are long in a field and would only be long here."""


class AgentProcess:
    """One site. `start` and `kill` may be called again and again."""

    def __init__(self, home: Path, hub: HubSimulator, name: str = "site3") -> None:
        self.home = AgentHome(home)
        self.name = name
        self.settings = dict(QUICK)
        self.url = ""
        self._hub = hub
        self._log = home.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def join(self) -> None:
        """Become a site of the hub."""
        join(self.home, JoinRequest(self._hub.token(), self.name))

    def start(self, *, die_at: str = "") -> None:
        """Run, and return when the local API takes requests.

        With `die_at` it is a process that kills itself there, see `tests.agent.dying_agent`.
        """
        module = "tests.agent.dying_agent" if die_at else "dizuo.cli.main"
        own = {"DIZUO_AGENT_HOME": str(self.home.root), "DIE_AT": die_at}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, "agent", "run", "--port", "0", "--json"],
                cwd=ROOT,
                env={**os.environ, **self.settings, **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the agent did not start: {self.log()}"
        self.url = json.loads(line)["url"]

    def log(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def engine_pids(self) -> list[int]:
        """Its engine processes."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM, and wait; returns the exit status."""
        return self._end(signal.SIGTERM)

    def wait_until_killed(self) -> None:
        """Until a process with `die_at` has died there."""
        assert self._end(None) == -signal.SIGKILL, self.log()

    def _end(self, how: signal.Signals | None) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if how is not None:
            process.send_signal(how)
        try:
            status = process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        return status

    def status(self) -> dict[str, Any]:
        """`status.json`; empty before this process has written it."""
        try:
            value: dict[str, Any] = json.loads(self.home.status_file.read_bytes())
        except FileNotFoundError:
            return {}
        return value if value["pid"] == self.pid else {}

    def wait(self, accepts: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first `status.json` of this process that is accepted."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (status := self.status()) or not accepts(status):
            assert time.monotonic() < deadline, f"still {status}\n{self.log()}"
            time.sleep(_LOOK_SECONDS)
        return status

    def wait_until_serves(self, generation: int) -> dict[str, Any]:
        """Until this generation is committed."""
        return self.wait(
            lambda status: (
                self.home.read_active().generation == generation
                and status["state"] == "serving"
                and status["running"]["generation"] == generation
            )
        )

    def ask(self, *values: float, model: str = "meter") -> httpx2.Response:
        """One inference request."""
        return httpx2.post(f"{self.url}/v2/models/{model}/infer", json=request(*values))

    def sides(self, *values: float, model: str = "meter") -> list[str]:
        """What a model says about values."""
        response = self.ask(*values, model=model)
        assert response.status_code == 200, response.text
        answers: list[str] = response.json()["outputs"][0]["data"]
        return answers


def request(*values: float) -> dict[str, Any]:
    """The body of an inference request of the test family."""
    tensor = {"name": "value", "datatype": "FP64", "shape": [len(values)], "data": list(values)}
    return {"inputs": [tensor]}


def install(agent: AgentProcess, hub: HubSimulator) -> None:
    """Generation 1 serves `meter`, which calls positive numbers high."""
    built = hub.build(scale=1.0)
    agent.start()
    hub.direct("site3", built.direction("meter"))
    agent.wait_until_serves(1)
