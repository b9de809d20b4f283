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
from dizuo.demo.story import bytes_fetched
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
    sites: Sequence[dict[str, Any]] = ()
    ended_runs: Sequence[str] = ()
    clock: Clock = field(default_factory=Clock)
    run_seconds: float = 0.0
    followed: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
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

    async def _site(self, _request: Request) -> Response:
        return self._next("site", self.sites)

    async def _cancel(self, request: Request) -> Response:
        run_id = request.path_params["id"]
        if run_id in self.ended_runs:
            error = {"code": "transition_refused", "message": "It has ended.", "retryable": False}
            return JSONResponse({"error": error}, 409)
        self.cancelled.append(run_id)
        return JSONResponse({"id": run_id, "state": "running"})

    @contextmanager
    def open(self) -> Iterator[DemoHub]:
        routes = [
            Route("/api/v1/rollouts", self._start, methods=["POST"]),
            Route("/api/v1/rollouts/{id}", self._rollout),
            Route("/api/v1/improvements/{id}", self._improvement),
            Route("/api/v1/runs/{id}/events", self._events),
            Route("/api/v1/runs/{id}/cancel", self._cancel, methods=["POST"]),
            Route("/api/v1/sites/{name}", self._site),
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


def test_runs_are_cancelled_but_for_those_that_have_ended() -> None:
    hub = Scripted(ended_runs=["one"])
    with hub.open() as demo:
        demo.cancel([{"id": "one"}, {"id": "two"}])
    assert hub.cancelled == ["two"]


def site(state: str, generation: int, num_bytes: int) -> dict[str, Any]:
    """A site that shall run generation 3, as the hub tells it."""
    return {
        "state": state,
        "generation": generation,
        "desired": {"generation": 3},
        "bytes_last_update": num_bytes,
    }


def test_bytes_are_those_of_the_newest_generation_once_its_trial_is_over() -> None:
    hub = Scripted(
        sites=[
            site("serving", 2, 1),
            site("updating", 2, 1),
            site("updating", 3, 1),
            site("serving", 3, 300),
        ]
    )
    with hub.open() as demo:
        assert bytes_fetched(demo.client, "site1", demo.patience) == 300


def test_bytes_of_a_trial_that_does_not_end_are_not_waited_for_forever() -> None:
    hub = Scripted(sites=[site("updating", 3, 1)])
    with hub.open() as demo, pytest.raises(TookTooLong, match="site1"):
        bytes_fetched(demo.client, "site1", demo.patience)


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
