"""What the demo asks of a hub: it follows whatever comes until the end, and shows it meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.client.serving import served
from tests.demo.test_waiting import Clock

from dizuo.client.hub import HubClient
from dizuo.core.progress import Progress, silent
from dizuo.demo.hub import BuildFailed, DemoHub
from dizuo.demo.waiting import TookTooLong


def rollout(state: str, *sites: str, reason: str = "") -> dict[str, Any]:
    """A rollout as the hub tells it; `sites` are the states of site1, site2 and so on."""
    entries = [{"site": f"site{n}", "state": state} for n, state in enumerate(sites, 1)]
    return {"id": "r1", "state": state, "stack": "m:1", "reason": reason, "sites": entries}


def improvement(state: str, **made: str) -> dict[str, Any]:
    empty = {"tune_run_id": "", "gate_run_id": "", "rollout_id": "", "reason": ""}
    return {"id": "i1", "state": state, **empty, **made}


@dataclass
class Scripted:
    """A hub whose answers are written down: each in turn, the last again and again."""

    rollouts: Sequence[dict[str, Any]] = ()
    improvements: Sequence[dict[str, Any]] = ()
    clock: Clock = field(default_factory=Clock)
    run_seconds: float = 0.0
    followed: list[str] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)

    def _next(self, name: str, script: Sequence[dict[str, Any]]) -> Response:
        number = self.asked[name] = self.asked.get(name, -1) + 1
        return JSONResponse(script[min(number, len(script) - 1)])

    async def _rollout(self, _request: Request) -> Response:
        return self._next("rollout", self.rollouts)

    async def _start(self, _request: Request) -> Response:
        return JSONResponse({"id": "r1"}, 201)

    async def _improvement(self, _request: Request) -> Response:
        return self._next("improvement", self.improvements)

    async def _events(self, request: Request) -> Response:
        run_id = request.path_params["id"]
        self.followed.append(run_id)
        self.clock.move(self.run_seconds)
        step = {"stage": run_id, "done": 3, "total": 3}
        ended = {"id": run_id, "state": "succeeded"}
        text = f"data: {json.dumps(step)}\n\nevent: end\ndata: {json.dumps(ended)}\n\n"
        return Response(text, media_type="text/event-stream")

    @contextmanager
    def open(self) -> Iterator[DemoHub]:
        routes = [
            Route("/api/v1/rollouts", self._start, methods=["POST"]),
            Route("/api/v1/rollouts/{id}", self._rollout),
            Route("/api/v1/improvements/{id}", self._improvement),
            Route("/api/v1/runs/{id}/events", self._events),
        ]
        with served(Starlette(routes=routes)) as url, HubClient(url, "dz_api_x") as client:
            yield DemoHub(client, Path("nowhere"), False, self.clock.patience())


def words(events: Sequence[Progress]) -> list[str]:
    return [f"{event.stage} {event.done}/{event.total} {event.unit}" for event in events]


def test_a_rollout_is_shown_as_sites_that_have_arrived_of_all() -> None:
    hub = Scripted(
        rollouts=[
            rollout("pending", "pending", "pending"),
            rollout("progressing", "done", "progressing"),
            rollout("done", "done", "done"),
        ]
    )
    events: list[Progress] = []
    with hub.open() as demo:
        assert demo.roll_out("m:1", ["site1", "site2"], "m", events.append)["state"] == "done"
    assert words(events) == ["roll out 0/2 site", "roll out 1/2 site", "roll out 2/2 site"]
    assert events[1].message == "site1 done, site2 progressing"


@pytest.mark.parametrize("state", ["failed", "stopped", "superseded", "rolled_back"])
def test_a_rollout_that_ends_otherwise_is_told(state: str) -> None:
    hub = Scripted(rollouts=[rollout(state, "failed", reason="site1 fell back")])
    with hub.open() as demo, pytest.raises(BuildFailed) as told:
        demo.roll_out("m:1", ["site1"], "m", silent)
    assert state in told.value.message
    assert "site1 fell back" in told.value.message


def test_a_rollout_that_goes_nowhere_is_given_up() -> None:
    hub = Scripted(rollouts=[rollout("pending", "pending")])
    with hub.open() as demo, pytest.raises(TookTooLong, match="the rollout of m:1"):
        demo.roll_out("m:1", ["site1"], "m", silent)


def test_an_improvement_is_followed_through_whatever_states_come() -> None:
    tune, gate = {"tune_run_id": "tune"}, {"tune_run_id": "tune", "gate_run_id": "gate"}
    last = {**gate, "rollout_id": "r1"}
    hub = Scripted(
        improvements=[
            improvement("awaiting_review"),
            improvement("collecting"),
            improvement("tuning", **tune),
            improvement("gating", **gate),
            improvement("a state of the future", **gate),
            improvement("rolling_out", **last),
            improvement("done", **last),
        ],
        rollouts=[rollout("progressing", "progressing"), rollout("done", "done")],
    )
    events: list[Progress] = []
    with hub.open() as demo:
        assert demo.wait_for_improvement("i1", events.append)["state"] == "done"
    assert hub.followed == ["tune", "gate"]
    assert words(events) == [
        "tune 3/3 step",
        "gate 3/3 step",
        "roll out 0/1 site",
        "roll out 1/1 site",
    ]


def test_training_for_longer_than_its_patience_is_not_in_vain() -> None:
    made = {"tune_run_id": "tune", "gate_run_id": "gate"}
    script = [improvement("tuning", tune_run_id="tune"), improvement("gating", **made)]
    hub = Scripted(improvements=[*script, improvement("done", **made)], run_seconds=10_000)
    with hub.open() as demo:
        assert demo.wait_for_improvement("i1", silent)["state"] == "done"
    assert hub.followed == ["tune", "gate"]


def test_a_rollout_that_moves_keeps_its_improvement_waiting() -> None:
    sites = 300
    steps = [
        rollout("progressing", *["done"] * n, *["pending"] * (sites - n)) for n in range(sites)
    ]
    hub = Scripted(
        improvements=[improvement("rolling_out", rollout_id="r1")] * sites
        + [improvement("done", rollout_id="r1")],
        rollouts=steps,
    )
    with hub.open() as demo:
        demo.wait_for_improvement("i1", silent)
    assert hub.clock.seconds == sites


@pytest.mark.parametrize("state", ["failed", "rejected"])
def test_an_improvement_that_ends_otherwise_is_told(state: str) -> None:
    hub = Scripted(improvements=[improvement(state, reason="The gates were not passed.")])
    with hub.open() as demo, pytest.raises(BuildFailed) as told:
        demo.wait_for_improvement("i1", silent)
    assert told.value.message == f"The improvement {state}: The gates were not passed."


def test_an_improvement_that_waits_for_a_person_is_given_up() -> None:
    hub = Scripted(improvements=[improvement("awaiting_approval")])
    with hub.open() as demo, pytest.raises(TookTooLong, match="the improvement"):
        demo.wait_for_improvement("i1", silent)
