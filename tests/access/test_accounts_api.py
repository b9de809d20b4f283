"""Accounts, as an admin's token manages them over HTTP."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.access.conftest import Caller
from tests.access.people import OTHER, PASSWORD, Town

from dizuo.access.model import Role
from dizuo.access.sessions import SessionEnded
from dizuo.core.clock import now_ms

pytestmark = pytest.mark.usefixtures("quick")
ANN = {"name": "ann", "role": "builder", "password": PASSWORD}


@pytest.fixture
def admin(call_as: Caller) -> TestClient:
    return call_as(Role.ADMIN)


def test_an_account_is_made_changed_listed_and_disabled(admin: TestClient, town: Town) -> None:
    town.now = now_ms()
    made = admin.post("/api/v1/accounts", json=ANN)
    assert made.status_code == 201
    assert made.json() == {
        "name": "ann",
        "role": "builder",
        "language": "",
        "theme": "auto",
        "created_ms": made.json()["created_ms"],
        "disabled_ms": None,
    }
    first = town.sign_in("ann")
    changed = admin.put("/api/v1/accounts/ann/password", json={"password": OTHER})
    assert (changed.status_code, changed.json()) == (200, made.json())
    with pytest.raises(SessionEnded):
        town.recognise(first)
    raised = admin.put("/api/v1/accounts/ann/role", json={"role": "admin"})
    assert raised.json() == {**made.json(), "role": "admin"}
    assert town.recognise(town.sign_in("ann", OTHER)).principal.role is Role.ADMIN
    gone = admin.post("/api/v1/accounts/ann/disable").json()
    assert gone["disabled_ms"] > 0
    assert admin.get("/api/v1/accounts").json() == {"items": [gone]}
    assert admin.post("/api/v1/accounts/ann/enable").json() == raised.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_input"),
        ([], "invalid_input"),
        ({**ANN, "name": "Ann"}, "invalid_input"),
        ({**ANN, "name": 7}, "invalid_input"),
        ({**ANN, "role": "king"}, "invalid_input"),
        ({**ANN, "role": "registry"}, "invalid_input"),
        ({**ANN, "project": "other"}, "invalid_input"),
        ({**ANN, "password": None}, "invalid_input"),
        ({**ANN, "password": ["secret word of hers"]}, "invalid_input"),
        ({**ANN, "password": "short"}, "password_refused"),
        ({**ANN, "password": "x" * 1025}, "password_refused"),
        ({**ANN, "name": "ann.of.mill", "password": "ann.of.mill"}, "password_refused"),
    ],
)
def test_a_wrong_request_changes_nothing_and_repeats_no_password(
    admin: TestClient, body: object, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = admin.post("/api/v1/accounts", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
    assert refused.json()["error"]["message"].endswith(".")
    assert admin.get("/api/v1/accounts").json() == {"items": []}
    if isinstance(body, dict) and isinstance(body.get("password"), str):
        assert body["password"] not in refused.text + caplog.text
    assert "secret word" not in refused.text + caplog.text


def test_a_name_is_taken_once(admin: TestClient) -> None:
    assert admin.post("/api/v1/accounts", json=ANN).status_code == 201
    again = admin.post("/api/v1/accounts", json=ANN)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "account_exists")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "role", {"role": "admin"}),
        ("PUT", "password", {"password": PASSWORD}),
        ("POST", "disable", None),
        ("POST", "enable", None),
    ],
)
def test_there_is_no_such_account(
    admin: TestClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    refused = admin.request(method, f"/api/v1/accounts/nobody/{path}", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "account_not_found")


def test_the_last_admin_account_may_go_while_an_admins_token_is_there(admin: TestClient) -> None:
    admin.post("/api/v1/accounts", json={**ANN, "role": "admin"})
    assert admin.post("/api/v1/accounts/ann/disable").status_code == 200


@pytest.mark.parametrize("has", [Role.READER, Role.BUILDER, Role.RELEASER])
def test_only_admins_change_accounts(call_as: Caller, has: Role) -> None:
    one = call_as(has)
    for path, body in (("role", {"role": "admin"}), ("password", {"password": PASSWORD})):
        refused = one.put(f"/api/v1/accounts/ann/{path}", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_missing")
    assert one.post("/api/v1/accounts", json=ANN).status_code == 403


def test_a_session_of_an_admin_is_no_token(app: FastAPI, town: Town) -> None:
    town.now = now_ms()
    secret = town.signed_up("ann", Role.ADMIN)
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as client:
        for path in ("/api/v1/accounts", "/api/v1/audit", "/edge/me"):
            assert client.get(path).status_code == 401
