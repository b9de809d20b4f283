"""`/api/v1/releases` as operators meet it."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.releases.conftest import Caller
from tests.releases.stacks import gated, register

from dizuo.access import service as access
from dizuo.access.model import Role, Surface
from dizuo.database.engine import Database
from dizuo.releases.repository import Repository

ROUTES = [
    ("POST", "/api/v1/releases", Role.RELEASER),
    ("GET", "/api/v1/releases", Role.READER),
    ("GET", "/api/v1/releases/some-id", Role.READER),
    ("POST", "/api/v1/releases/some-id/withdraw", Role.RELEASER),
]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_credentials(
    app: FastAPI, database: Database, call_as: Caller, route: tuple[str, str, Role]
) -> None:
    method, path, role = route
    with database.transaction() as session:
        others = [
            access.issue(session, "test", surface, "site1")
            for surface in (Surface.EDGE, Surface.REGISTRY)
        ]
        revoked = access.issue(session, "test", Surface.API, "gone", role=Role.ADMIN)
        access.revoke(session, "test", Surface.API, "gone")
    with TestClient(app) as nobody:
        for secret in (None, "wrong", revoked, *others):
            headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
            answer = nobody.request(method, path, headers=headers, json={"stack": "a:1"})
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "credential_refused"
    if role > Role.READER:
        answer = call_as(Role(role - 1)).request(method, path, json={"stack": "a:1"})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "role_missing"
    assert call_as(role).request(method, path, json={"stack": "a:1"}).status_code in (200, 404)


def test_release_list_show_withdraw(
    database: Database, repository: Repository, call_as: Caller
) -> None:
    with database.transaction() as session:
        stack = gated(session)
    releaser = call_as(Role.RELEASER)
    answer = releaser.post("/api/v1/releases", json={"stack": "meter-reading:1"})
    assert answer.status_code == 201
    made = answer.json()
    assert made["digest"] == stack.digest
    assert made["state"] == "signed"
    assert made["actor"] == "operator:releaser"
    assert releaser.get("/api/v1/releases").json() == {"items": [made]}
    assert releaser.get(f"/api/v1/releases/{made['id']}").json() == made
    taken = releaser.post(f"/api/v1/releases/{made['id']}/withdraw").json()
    assert taken["state"] == "withdrawn"
    assert repository.targets("default") == {}
    again = releaser.post(f"/api/v1/releases/{made['id']}/withdraw")
    assert again.status_code == 409


def test_an_old_release_is_found_and_withdrawn_by_its_name(
    database: Database, repository: Repository, call_as: Caller
) -> None:
    releaser = call_as(Role.RELEASER)
    for version in (1, 2):
        with database.transaction() as session:
            gated(session, version=version)
        releaser.post("/api/v1/releases", json={"stack": f"meter-reading:{version}"})
    shown = releaser.get("/api/v1/releases/meter-reading:1").json()
    assert (shown["stack"], shown["state"]) == ("meter-reading:1", "signed")
    digest = shown["digest"]
    for key in (f"meter-reading:1@{digest}", f"meter-reading@{digest}", "default/meter-reading:1"):
        assert releaser.get(f"/api/v1/releases/{key}").json() == shown
    taken = releaser.post("/api/v1/releases/meter-reading:1/withdraw").json()
    assert (taken["id"], taken["state"]) == (shown["id"], "withdrawn")
    assert releaser.get("/api/v1/releases/meter-reading:1").json() == taken
    assert releaser.get("/api/v1/releases/meter-reading:2").json()["state"] == "signed"
    assert list(repository.targets("default")) == ["default/meter-reading/2.json"]


@pytest.mark.parametrize(
    ("key", "status_and_code"),
    [
        ("meter-reading:9", (404, "release_not_found")),
        ("meter-reading", (404, "release_not_found")),
        ("meter-reading@sha256:" + "0" * 64, (404, "release_not_found")),
        ("meter-reading:1@sha256:" + "0" * 64, (404, "release_not_found")),
        ("other/meter-reading:1", (404, "release_not_found")),
        ("other%2Fmeter-reading:1", (404, "release_not_found")),
        ("meter-reading:x", (400, "invalid_reference")),
        (":", (400, "invalid_reference")),
    ],
)
def test_what_names_no_release(
    database: Database, call_as: Caller, key: str, status_and_code: tuple[int, str]
) -> None:
    releaser = call_as(Role.RELEASER)
    with database.transaction() as session:
        gated(session)
    releaser.post("/api/v1/releases", json={"stack": "meter-reading:1"})
    for answer in (
        releaser.get(f"/api/v1/releases/{key}"),
        releaser.post(f"/api/v1/releases/{key}/withdraw"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == status_and_code


@pytest.mark.parametrize(
    ("body", "status_and_code"),
    [
        ({"stack": "meter-reading:7"}, (404, "stack_not_found")),
        ({"stack": "ungated:1"}, (409, "gate_not_passed")),
        ({"stack": "not a reference"}, (400, "invalid_reference")),
        ({"stack": "gated:1@sha256:" + "0" * 64}, (404, "stack_not_found")),
        ({"stack": "gated@sha256:" + "0" * 64}, (404, "stack_not_found")),
        ({"stack": "other/gated:1"}, (404, "stack_not_found")),
        ({"stack": 1}, (400, "invalid_input")),
        ({}, (400, "invalid_input")),
        ({"stack": "meter-reading:1", "force": True}, (400, "invalid_input")),
        ({"stack": "x" * 301}, (400, "invalid_input")),
    ],
)
def test_bad_input_changes_nothing(
    database: Database,
    repository: Repository,
    call_as: Caller,
    body: dict[str, object],
    status_and_code: tuple[int, str],
) -> None:
    status, code = status_and_code
    with database.transaction() as session:
        register(session, "ungated")
        gated(session, "gated")
    answer = call_as(Role.RELEASER).post("/api/v1/releases", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"].endswith(".")
    assert repository.targets("default") == {}
