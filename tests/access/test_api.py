"""Tokens and the audit log, as an admin meets them over HTTP."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from sqlalchemy import update
from starlette.testclient import TestClient
from tests.access.conftest import Caller

from dizuo.access import service
from dizuo.access.model import CredentialRefused, Role, Surface
from dizuo.audit.store import AuditRow
from dizuo.database.engine import Database


def test_a_token_is_made_used_listed_and_revoked(app: FastAPI, call_as: Caller) -> None:
    admin = call_as(Role.ADMIN)
    made = admin.post("/api/v1/tokens", json={"name": "ann", "role": "builder"})
    assert made.status_code == 201
    secret = made.json()["token"]
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as ann:
        assert ann.get("/api/v1/audit").status_code == 200
        listed = admin.get("/api/v1/tokens").json()["items"]
        assert [(one["name"], one["role"], one["revoked_ms"]) for one in listed] == [
            ("admin", "admin", None),
            ("ann", "builder", None),
        ]
        assert secret not in str(listed)
        gone = admin.delete("/api/v1/tokens/ann")
        assert gone.json() == {"name": "ann", "num_revoked": 1}
        assert ann.get("/api/v1/audit").status_code == 401
    assert admin.get("/api/v1/tokens").json()["items"][1]["revoked_ms"] > 0


def test_one_live_token_for_each_name(call_as: Caller) -> None:
    admin = call_as(Role.ADMIN)
    body = {"name": "ann", "role": "reader"}
    assert admin.post("/api/v1/tokens", json=body).status_code == 201
    again = admin.post("/api/v1/tokens", json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "token_exists")
    assert admin.delete("/api/v1/tokens/ann").status_code == 200
    assert admin.delete("/api/v1/tokens/ann").json()["error"]["code"] == "token_not_found"
    assert admin.post("/api/v1/tokens", json=body).status_code == 201


def test_the_last_admin_stays(call_as: Caller) -> None:
    admin = call_as(Role.ADMIN)
    refused = admin.delete("/api/v1/tokens/admin")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "last_admin")
    admin.post("/api/v1/tokens", json={"name": "bob", "role": "admin"})
    assert admin.delete("/api/v1/tokens/admin").status_code == 200
    assert admin.get("/api/v1/tokens").status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "ann"},
        {"name": "Ann", "role": "reader"},
        {"name": "", "role": "reader"},
        {"name": "a" * 64, "role": "reader"},
        {"name": "ann", "role": "king"},
        {"name": "ann", "role": "reader", "project": "other"},
        {"name": 7, "role": "reader"},
        [],
    ],
)
def test_a_wrong_request_for_a_token_changes_nothing(call_as: Caller, body: object) -> None:
    admin = call_as(Role.ADMIN)
    refused = admin.post("/api/v1/tokens", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_input")
    assert len(admin.get("/api/v1/tokens").json()["items"]) == 1


def test_the_log_and_its_proof(call_as: Caller, database: Database) -> None:
    admin = call_as(Role.ADMIN)
    for name in ("ann", "bob", "eve"):
        admin.post("/api/v1/tokens", json={"name": name, "role": "reader"})
    everything = admin.get("/api/v1/audit").json()["items"]
    assert [entry["subject"] for entry in everything] == [
        "credential:admin",
        "credential:ann",
        "credential:bob",
        "credential:eve",
    ]
    assert admin.get("/api/v1/audit?limit=2").json()["items"] == everything[2:]
    assert admin.get("/api/v1/audit?after=0&limit=2").json()["items"] == everything[:2]
    verdict = admin.get("/api/v1/audit/verify").json()
    assert verdict == {
        "ok": True,
        "num_entries": 4,
        "head": everything[-1]["digest"],
        "broken_at": None,
        "reason": "",
    }
    unknown = "sha256:" + "1" * 64
    assert not admin.get("/api/v1/audit/verify", params={"head": unknown}).json()["ok"]
    with database.transaction() as session:
        session.execute(update(AuditRow).where(AuditRow.sequence == 3).values(subject="x"))
    broken = admin.get("/api/v1/audit/verify").json()
    assert (broken["ok"], broken["broken_at"]) == (False, 3)


def test_a_registry_token_opens_the_registry_alone(
    app: FastAPI, call_as: Caller, database: Database
) -> None:
    admin = call_as(Role.ADMIN)
    made = admin.post("/api/v1/tokens", json={"name": "bob", "role": "registry"})
    secret = made.json()["token"]
    assert (made.status_code, made.json()["role"]) == (201, "registry")
    with database.reading() as session:
        assert service.recognise(session, secret, Surface.REGISTRY).role is None
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as bob:
        assert bob.get("/api/v1/audit").status_code == 401
        assert bob.get("/edge/me").status_code == 401
    again = admin.post("/api/v1/tokens", json={"name": "bob", "role": "reader"})
    assert again.json()["error"]["code"] == "token_exists"
    assert ("bob", "registry") in [
        (one["name"], one["role"]) for one in admin.get("/api/v1/tokens").json()["items"]
    ]


def test_tokens_and_sites_of_one_name_do_not_touch_each_other(
    call_as: Caller, database: Database
) -> None:
    admin = call_as(Role.ADMIN)
    with database.transaction() as session:
        of_site = service.issue(session, "test", Surface.REGISTRY, "mill")
    secret = admin.post("/api/v1/tokens", json={"name": "mill", "role": "registry"}).json()["token"]
    assert [one["name"] for one in admin.get("/api/v1/tokens").json()["items"]] == ["admin", "mill"]
    assert admin.delete("/api/v1/tokens/mill").json() == {"name": "mill", "num_revoked": 1}
    with database.transaction() as session:
        assert service.recognise(session, of_site, Surface.REGISTRY).name == "mill"
        with pytest.raises(CredentialRefused):
            service.recognise(session, secret, Surface.REGISTRY)
