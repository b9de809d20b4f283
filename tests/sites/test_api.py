"""`/api/v1` of this room as operators meet it."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.sites.conftest import Caller
from tests.sites.fleet import Fleet

from dizuo.access import service as access
from dizuo.access.model import Role, Surface
from dizuo.database.engine import Database
from dizuo.edge import join
from dizuo.releases.repository import Repository

ROLLOUT = {"stack": "meter-reading:1", "sites": "all"}
ROUTES = [
    ("POST", "/api/v1/join-tokens", Role.ADMIN, {}),
    ("GET", "/api/v1/sites", Role.READER, None),
    ("GET", "/api/v1/sites/a", Role.READER, None),
    ("DELETE", "/api/v1/sites/a", Role.ADMIN, None),
    ("POST", "/api/v1/rollouts", Role.RELEASER, ROLLOUT),
    ("GET", "/api/v1/rollouts", Role.READER, None),
    ("GET", "/api/v1/rollouts/some-id", Role.READER, None),
    ("POST", "/api/v1/rollouts/some-id/stop", Role.RELEASER, None),
    ("POST", "/api/v1/rollouts/some-id/rollback", Role.RELEASER, None),
    ("GET", "/api/v1/stacks/meter-reading/1/trace", Role.READER, None),
]
Route = tuple[str, str, Role, dict[str, object] | None]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_credentials(
    app: FastAPI, database: Database, anybody: TestClient, call_as: Caller, route: Route
) -> None:
    method, path, role, body = route
    with database.transaction() as session:
        others = [
            access.issue(session, "test", surface, "a")
            for surface in (Surface.EDGE, Surface.REGISTRY)
        ]
        revoked = access.issue(session, "test", Surface.API, "gone", role=Role.ADMIN)
        access.revoke(session, "test", Surface.API, "gone")
    for secret in (None, "wrong", revoked, *others):
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        answer = anybody.request(method, path, headers=headers, json=body)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "credential_refused"
    if role > Role.READER:
        answer = call_as(Role(role - 1)).request(method, path, json=body)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "role_missing"
    assert call_as(role).request(method, path, json=body).status_code in (200, 201, 404)


def test_a_join_token_can_be_joined_with(
    call_as: Caller, anybody: TestClient, repository: Repository
) -> None:
    made = call_as(Role.ADMIN).post("/api/v1/join-tokens", json={"ttl_seconds": 60})
    assert made.status_code == 201
    token = join.decode(made.json()["token"])
    assert token.url == "http://127.0.0.1:8420"
    assert token.root_sha256 == repository.root_sha256()
    assert made.json()["command"] == f"dizuo agent join {made.json()['token']} --name NAME"
    body = {"secret": token.secret, "site_name": "a", "agent_version": "1"}
    assert anybody.post("/edge/v1/enrol", json=body).status_code == 200
    assert anybody.post("/edge/v1/enrol", json=body).json()["error"]["code"] == "join_token_used"


def test_a_join_token_for_another_address(call_as: Caller) -> None:
    body = {"url": "https://hub.example:443/dizuo"}
    made = call_as(Role.ADMIN).post("/api/v1/join-tokens", json=body)
    assert join.decode(made.json()["token"]).url == body["url"]


def test_sites(call_as: Caller, fleet: Fleet) -> None:
    fleet.join("b", "a")
    fleet.release()
    fleet.start("meter-reading:1", ["a"], served_as="meters")
    fleet.arrive("a")
    reader = call_as(Role.READER)
    listed = reader.get("/api/v1/sites").json()["items"]
    assert [(one["name"], one["state"]) for one in listed] == [("a", "serving"), ("b", "empty")]
    shown = reader.get("/api/v1/sites/a").json()
    assert shown["generation"] == 1
    assert shown["stacks"][0]["served_as"] == "meters"
    assert [one["generation"] for one in shown["directions"]] == [1]
    gone = call_as(Role.ADMIN).delete("/api/v1/sites/a")
    assert gone.json()["name"] == "a"
    assert reader.get("/api/v1/sites/a").json()["error"]["code"] == "site_not_found"


def test_rollouts(call_as: Caller, fleet: Fleet) -> None:
    fleet.join("a", "b")
    fleet.release()
    releaser = call_as(Role.RELEASER)
    body = {"stack": "meter-reading:1", "sites": ["a"], "served_as": "meters", "key": "k"}
    made = releaser.post("/api/v1/rollouts", json=body)
    assert made.status_code == 201
    started = made.json()
    assert (started["state"], started["served_as"]) == ("pending", "meters")
    assert [one["site"] for one in started["sites"]] == ["a"]
    assert releaser.post("/api/v1/rollouts", json=body).json() == started
    fleet.arrive("a")
    path = f"/api/v1/rollouts/{started['id']}"
    assert releaser.get(path).json()["state"] == "done"
    listed = releaser.get("/api/v1/rollouts").json()["items"]
    assert [one["id"] for one in listed] == [started["id"]]
    assert releaser.post(f"{path}/stop").json()["error"]["code"] == "transition_refused"
    assert releaser.post(f"{path}/rollback").json()["state"] == "rolled_back"
    second = releaser.post("/api/v1/rollouts", json=ROLLOUT).json()
    assert releaser.post(f"/api/v1/rollouts/{second['id']}/stop").json()["state"] == "stopped"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("rollouts", {"stack": "meter-reading:9", "sites": "all"}, (404, "release_not_found")),
        ("rollouts", {"stack": "meter-reading:1", "sites": ["x"]}, (404, "site_not_found")),
        ("rollouts", {"stack": "meter-reading:1", "sites": []}, (400, "invalid_input")),
        ("rollouts", {"stack": "meter-reading:1", "sites": "some"}, (400, "invalid_input")),
        ("rollouts", {"stack": "meter-reading:1", "sites": ["A/B"]}, (400, "invalid_input")),
        ("rollouts", {"stack": "meter-reading:1"}, (400, "invalid_input")),
        ("rollouts", {"stack": "!", "sites": "all"}, (400, "invalid_reference")),
        ("rollouts", {**ROLLOUT, "served_as": "../x"}, (400, "invalid_input")),
        ("rollouts", {**ROLLOUT, "waves": 3}, (400, "invalid_input")),
        ("join-tokens", {"ttl_seconds": 1}, (400, "invalid_input")),
        ("join-tokens", {"ttl_seconds": 10**9}, (400, "invalid_input")),
        ("join-tokens", {"url": "ftp://hub"}, (400, "invalid_input")),
        ("join-tokens", {"url": "http://a hub"}, (400, "invalid_input")),
        ("join-tokens", {"url": "http://hub.example"}, (400, "insecure_address")),
        ("join-tokens", {"uses": 5}, (400, "invalid_input")),
    ],
)
def test_bad_input_changes_nothing(
    call_as: Caller,
    fleet: Fleet,
    path: str,
    body: dict[str, object],
    expected: tuple[int, str],
) -> None:
    fleet.join("a")
    fleet.release()
    admin = call_as(Role.ADMIN)
    before = fleet.num_audited()
    answer = admin.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == expected
    assert answer.json()["error"]["message"].endswith(".")
    assert fleet.num_audited() == before
