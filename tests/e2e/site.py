"""A real agent process, directed by the command line and asked over HTTP."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.cli.door import ok
from tests.e2e.pictures import one_picture
from tests.e2e.refusals import RunningHub

from dizuo.agent.settings import AgentSettings
from dizuo.demo.processes import Fleet, free_port, wait_until_answers

MODEL = "reader"
MAX_REQUEST_BYTES = 100_000
_PATIENCE_SECONDS = 45
_LOOK_SECONDS = 0.1


def request(**changes: Any) -> dict[str, Any]:
    """An inference request for one picture, its tensor changed as told."""
    data = [base64.b64encode(one_picture(7)).decode()]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
    return {"inputs": [{**tensor, **changes}]}


@dataclass(frozen=True)
class RunningSite:
    """A site, seen from its own address and from its hub."""

    name: str
    home: Path
    hub: RunningHub
    http: httpx2.Client

    def answer(self) -> list[dict[str, Any]]:
        """What it says about one picture; it must say something."""
        response = self.http.post(f"/v2/models/{MODEL}/infer", json=request())
        assert response.status_code == 200, response.text
        outputs: list[dict[str, Any]] = response.json()["outputs"]
        return outputs

    def direct_to(self, stack: str) -> int:
        """Start a rollout; the generation the site shall reach."""
        home = str(self.hub.home)
        ok("--home", home, "rollout", "start", stack, "--site", self.name, "--as", MODEL)
        generation: int = self.shown()["desired"]["generation"]
        return generation

    def shown(self) -> dict[str, Any]:
        """`dizuo site show`."""
        said = ok("--home", str(self.hub.home), "site", "show", self.name, "--json")
        shown: dict[str, Any] = said.json
        return shown

    def wait(self, accepts: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first thing `dizuo site show` says that is accepted."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not accepts(shown := self.shown()):
            assert time.monotonic() < deadline, shown
            time.sleep(_LOOK_SECONDS)
        return shown

    def wait_until_serves(self, stack: str) -> None:
        """Until the hub has heard that this is what answers, and nothing is wrong."""
        self.wait(
            lambda shown: (
                shown["state"] == "serving"
                and shown["generation"] == shown["desired"]["generation"]
                and [f"{one['name']}:{one['version']}" for one in shown["stacks"]] == [stack]
                and not shown["error"]
            )
        )


@contextmanager
def run_site(hub: RunningHub, folder: Path, name: str) -> Iterator[RunningSite]:
    """Join and run an agent."""
    home, port = folder / "home", free_port()
    token = ok("--home", str(hub.home), "site", "token", "--json").json["token"]
    ok("agent", "join", token, "--name", name, "--home", str(home))
    quick = {
        "DIZUO_AGENT_RETRY_SECONDS": "0.1",
        "DIZUO_AGENT_WATCH_SECONDS": "0",
        "DIZUO_AGENT_MEMORY_RESERVE_BYTES": "0",
        "DIZUO_AGENT_REQUEST_BYTES_AT_MOST": str(MAX_REQUEST_BYTES),
    }
    url = f"http://127.0.0.1:{port}"
    with Fleet(folder / "logs") as fleet, httpx2.Client(base_url=url, timeout=60) as http:
        arguments = ["agent", "run", "--home", str(home), "--port", str(port)]
        process = fleet.start(name, arguments, quick)
        wait_until_answers(process, f"{url}/v2/health/live")
        yield RunningSite(name, home, hub, http)


def _variable(field: str) -> str:
    """The environment variable of one of the agent's settings."""
    names = (row[0] for row in AgentSettings.rows())
    return dict(zip(AgentSettings.model_fields, names, strict=True))[field]
