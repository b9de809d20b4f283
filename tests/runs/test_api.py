"""`/api/v1/runs` as clients meet it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.runs.conftest import WAIT_SECONDS, Bench
from tests.runs.counting import expected_value

from dizuo.access import service as access
from dizuo.access.http import install_error_handler
from dizuo.access.model import Role, Surface
from dizuo.core.progress import Progress
from dizuo.runs import api
from dizuo.runs.supervisor import Supervisor


@dataclass
class Door:
    """The API of a hub with a supervisor, and how to come in."""

    bench: Bench
    client: TestClient
    supervisor: Supervisor

    def submit(self, steps: int = 2, key: str = "", **spec: Any) -> Any:
        body = {"kind": "counting", "steps": steps, "diary": str(self.bench.diary), **spec}
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post("/api/v1/runs", json=body, headers=headers)

    def items(self, query: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.client.get(f"/api/v1/runs{query}").json()["items"]
        return items

    def events(self, run_id: str, last: str = "") -> list[tuple[str, str, dict[str, Any]]]:
        """(id, event, data) of a stream read to its end."""
        headers = {"Last-Event-ID": last} if last else {}
        answer = self.client.get(f"/api/v1/runs/{run_id}/events", headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        return parse(answer.text)


def parse(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines()]
        fields = {name: value for name, _, value in lines if name}
        if "data" in fields:
            found.append(
                (fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"]))
            )
    return found


@pytest.fixture
def door(bench: Bench) -> Iterator[Door]:
    app = FastAPI()
    install_error_handler(app)
    app.include_router(api.router)
    supervisor = bench.supervise()
    app.state.database, app.state.home = bench.context.database, bench.home
    app.state.supervisor = supervisor
    with TestClient(app) as client:
        client.headers["Authorization"] = f"Bearer {token(bench, Role.BUILDER)}"
        yield Door(bench, client, supervisor)


def token(bench: Bench, role: Role) -> str:
    with bench.context.database.transaction() as session:
        return access.issue(session, "test", Surface.API, role.word, role=role)


def test_run_from_door_to_end(door: Door) -> None:
    answer = door.submit(3)
    assert answer.status_code == 201
    run = answer.json()
    assert (run["kind"], run["state"], run["cached"]) == ("counting", "queued", False)
    assert run["actor"] == "operator:builder"
    assert run["spec"]["project"] == "default"
    events = door.events(run["id"])
    assert [data["done"] for _, event, data in events if not event] == [1, 2, 3]
    expected = Progress("count", 1, 3, metrics={"loss": 1.0})
    assert events[0][2] == expected.as_dict()
    position, name, last = events[-1]
    assert (position, name, last["state"]) == ("", "end", "succeeded")
    assert last["outcome"] == {"value": expected_value(3)}
    assert door.client.get(f"/api/v1/runs/{run['id']}").json() == last
    log = door.client.get(f"/api/v1/runs/{run['id']}/log")
    assert log.headers["content-type"].startswith("text/plain")
    assert log.text.startswith("=== attempt 1 ===\n")
    assert "attempt 1 succeeded" in log.text


def test_events_go_on_after_the_last_one_received(door: Door) -> None:
    run_id = door.submit(3).json()["id"]
    everything = door.events(run_id)
    assert door.events(run_id, last=everything[0][0]) == everything[1:]
    assert door.events(run_id, last=everything[2][0]) == everything[3:]


def test_events_come_while_the_run_runs(door: Door) -> None:
    run_id = door.submit(2, hold=["step-1"]).json()["id"]
    received: list[tuple[str, str, dict[str, Any]]] = []
    follower = threading.Thread(target=lambda: received.extend(door.events(run_id)))
    follower.start()
    door.bench.reached("step-1")
    door.bench.release("step-1")
    follower.join(WAIT_SECONDS)
    assert [data.get("done") for _, _, data in received] == [1, 2, None]


def test_events_of_a_run_that_never_started(door: Door) -> None:
    door.submit(1, hold=["step-0"])
    waiting = door.submit(1).json()["id"]
    assert door.client.post(f"/api/v1/runs/{waiting}/cancel").json()["state"] == "cancelled"
    ((_, name, run),) = door.events(waiting)
    assert (name, run["state"]) == ("end", "cancelled")
    assert door.client.get(f"/api/v1/runs/{waiting}/log").text == ""


def test_refused_spec_changes_nothing(door: Door) -> None:
    before = door.bench.actions()
    answer = door.submit(refuse="The recipe is wrong.")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "The recipe is wrong."
    assert door.items() == []
    assert door.bench.actions() == before


def test_outcome_that_is_there_already_is_answered_at_once(door: Door) -> None:
    answer = door.submit(known={"stack": "base:1"})
    assert answer.status_code == 200
    run = answer.json()
    assert (run["state"], run["cached"], run["outcome"]) == (
        "succeeded",
        True,
        {"stack": "base:1"},
    )


def test_sending_again_under_one_key_is_one_run(door: Door) -> None:
    first = door.submit(key="abc")
    door.supervisor.wait(first.json()["id"], WAIT_SECONDS)
    again = door.submit(key="abc")
    assert again.json()["id"] == first.json()["id"]
    assert len(door.items()) == 1
    other = door.submit(steps=9, key="abc")
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "run_key_reused"


def test_listing_is_filtered(door: Door) -> None:
    done = door.submit(1).json()["id"]
    door.supervisor.wait(done, WAIT_SECONDS)
    held = door.submit(1, hold=["step-0"]).json()["id"]
    assert [run["id"] for run in door.items()] == [held, done]
    assert [run["id"] for run in door.items("?state=succeeded")] == [done]
    assert door.items("?kind=tune") == []
    assert len(door.items("?limit=1")) == 1


def test_cancelling_a_running_run(door: Door) -> None:
    run_id = door.submit(2, hold=["step-1"]).json()["id"]
    door.bench.reached("step-1")
    asked = door.client.post(f"/api/v1/runs/{run_id}/cancel")
    assert (asked.status_code, asked.json()["cancel_requested"]) == (200, True)
    assert door.events(run_id)[-1][2]["state"] == "cancelled"
    again = door.client.post(f"/api/v1/runs/{run_id}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "transition_refused")


def test_log_of_several_attempts_is_cut_at_its_beginning(door: Door) -> None:
    run_id = door.submit(1).json()["id"]
    door.supervisor.wait(run_id, WAIT_SECONDS)
    folder = door.bench.home / "runs" / run_id
    (folder / "attempt-1" / "log.txt").write_text("first\n")
    (folder / "attempt-2").mkdir()
    (folder / "attempt-2" / "attempt.json").write_text("{}")
    (folder / "attempt-2" / "log.txt").write_bytes("二".encode() + b"\xff")
    url = f"/api/v1/runs/{run_id}/log"
    assert door.client.get(url).text == "=== attempt 1 ===\nfirst\n=== attempt 2 ===\n二\ufffd"
    assert door.client.get(url, params={"tail_bytes": 2}).text.startswith("=== attempt 2 ===\n")
    assert "first" not in door.client.get(url, params={"tail_bytes": 2}).text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_input"),
        ([], 400, "invalid_input"),
        ({"kind": 7}, 400, "invalid_input"),
        ({"kind": ""}, 400, "invalid_input"),
        ({"kind": "brew"}, 400, "unknown_run_kind"),
    ],
)
def test_bad_bodies_are_refused(door: Door, body: Any, status: int, code: str) -> None:
    answer = door.client.post("/api/v1/runs", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert door.items() == []


def test_body_that_is_not_json_is_refused(door: Door) -> None:
    answer = door.client.post("/api/v1/runs", content=b"{", headers={"content-type": "text/json"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/cancel"), ("GET", "/events"), ("GET", "/log")],
)
def test_unknown_run_is_not_found(door: Door, method: str, path: str) -> None:
    answer = door.client.request(method, f"/api/v1/runs/none{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "run_not_found")


def test_bad_last_event_id_is_refused(door: Door) -> None:
    run_id = door.submit(1).json()["id"]
    url = f"/api/v1/runs/{run_id}/events"
    answer = door.client.get(url, headers={"Last-Event-ID": "seven"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


ROUTES = [
    ("POST", "", Role.BUILDER),
    ("GET", "", Role.READER),
    ("GET", "/x", Role.READER),
    ("POST", "/x/cancel", Role.BUILDER),
    ("GET", "/x/events", Role.READER),
    ("GET", "/x/log", Role.READER),
]


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_every_route_asks_who_is_there(door: Door, method: str, path: str, role: Role) -> None:
    door.client.headers.pop("Authorization")
    url, body = f"/api/v1/runs{path}", {"kind": "counting"}
    assert door.client.request(method, url, json=body).status_code == 401
    wrong = {"Authorization": "Bearer dz_api_wrong"}
    assert door.client.request(method, url, json=body, headers=wrong).status_code == 401
    reader = {"Authorization": f"Bearer {token(door.bench, Role.READER)}"}
    status = door.client.request(method, url, json=body, headers=reader).status_code
    assert (status == 403) == (role is Role.BUILDER)


def test_runs_of_another_project_are_not_there(door: Door) -> None:
    run_id = door.submit(1).json()["id"]
    with door.bench.context.database.transaction() as session:
        secret = access.issue(
            session, "test", Surface.API, "eve", role=Role.ADMIN, project_id="other"
        )
    door.client.headers["Authorization"] = f"Bearer {secret}"
    assert door.items() == []
    for method, path in [("GET", ""), ("GET", "/log"), ("GET", "/events"), ("POST", "/cancel")]:
        answer = door.client.request(method, f"/api/v1/runs/{run_id}{path}")
        assert answer.status_code == 404
