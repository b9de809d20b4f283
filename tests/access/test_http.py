"""Who is calling, and how refusals look."""

from __future__ import annotations

import base64

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.access.conftest import Caller

from dizuo.access import service
from dizuo.access.http import secret_of
from dizuo.access.model import Role, Surface
from dizuo.database.engine import Database


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        (_basic("user:pass:word"), "pass:word"),
        (_basic("user:"), ""),
        (_basic("no colon"), ""),
        ("Basic !!!", ""),
        ("Basic \xe9", ""),
        ("Basic " + base64.b64encode(b"\xff\xfe").decode(), ""),
        ("Digest abc", ""),
        ("Bearer", ""),
        ("", ""),
    ],
)
def test_the_secret_in_a_header(header: str, secret: str) -> None:
    assert secret_of(header) == secret


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_is_read_without_an_error(header: str) -> None:
    assert isinstance(secret_of(header), str)
    assert isinstance(secret_of("Basic " + header), str)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer wrong", "Basic \xe9", _basic("a:b"), "Bearer \xff"]
)
def test_every_route_wants_a_credential(app: FastAPI, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    with TestClient(app) as client:
        for method, path in (
            ("GET", "/api/v1/tokens"),
            ("POST", "/api/v1/tokens"),
            ("DELETE", "/api/v1/tokens/ann"),
            ("GET", "/api/v1/accounts"),
            ("POST", "/api/v1/accounts"),
            ("PUT", "/api/v1/accounts/ann/role"),
            ("PUT", "/api/v1/accounts/ann/password"),
            ("POST", "/api/v1/accounts/ann/disable"),
            ("POST", "/api/v1/accounts/ann/enable"),
            ("GET", "/api/v1/audit"),
            ("GET", "/api/v1/audit/verify"),
            ("GET", "/edge/me"),
        ):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.json()["error"]["code"] == "credential_refused"
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_operator_is_no_site_and_a_site_no_operator(app: FastAPI, database: Database) -> None:
    with database.transaction() as session:
        site = service.issue(session, "test", Surface.EDGE, "site3")
        admin = service.issue(session, "test", Surface.API, "ann", role=Role.ADMIN)
        registry = service.issue(session, "test", Surface.REGISTRY, "site3")
    with TestClient(app) as client:
        for path, good in (("/edge/me", site), ("/api/v1/tokens", admin)):
            for secret in (site, admin, registry):
                answer = client.get(path, headers={"Authorization": f"Bearer {secret}"})
                assert answer.status_code == (200 if secret == good else 401)
        by_basic = client.get("/edge/me", headers={"Authorization": _basic(f"x:{site}")})
        assert by_basic.json() == {"name": "site3"}


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("GET", "/api/v1/tokens", Role.ADMIN),
        ("POST", "/api/v1/tokens", Role.ADMIN),
        ("DELETE", "/api/v1/tokens/nobody", Role.ADMIN),
        ("GET", "/api/v1/accounts", Role.ADMIN),
        ("POST", "/api/v1/accounts/nobody/disable", Role.ADMIN),
        ("POST", "/api/v1/accounts/nobody/enable", Role.ADMIN),
        ("GET", "/api/v1/audit", Role.READER),
        ("GET", "/api/v1/audit/verify", Role.READER),
    ],
)
@pytest.mark.parametrize("has", list(Role))
def test_the_role_each_route_needs(
    call_as: Caller, method: str, path: str, needs: Role, has: Role
) -> None:
    body = {"name": "new", "role": "reader"} if method == "POST" else None
    answer = call_as(has).request(method, path, json=body)
    if has < needs:
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "role_missing"
    else:
        assert answer.status_code in (200, 201, 404)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("PATCH", "/api/v1/tokens", 405, "method_refused"),
        ("GET", "/api/v1/audit?after=-1", 400, "invalid_input"),
        ("GET", "/api/v1/audit?limit=9999", 400, "invalid_input"),
        ("GET", "/api/v1/audit/verify?head=abc", 400, "invalid_input"),
        ("POST", "/api/v1/tokens", 400, "invalid_input"),
        ("GET", "/fault", 500, "error"),
    ],
)
def test_whatever_goes_wrong_has_one_shape(
    call_as: Caller, method: str, path: str, status: int, code: str
) -> None:
    answer = call_as(Role.ADMIN).request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "next_step", "retryable"}
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert "secret" not in error["message"]
