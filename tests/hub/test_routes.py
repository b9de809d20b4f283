"""Every route of the composed hub: whom it lets in, and whom not."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.access.people import Town

from dizuo.access import service as access
from dizuo.access.model import Role, Surface
from dizuo.core.clock import now_ms
from dizuo.hub.gatekeeper import MAX_BODY_BYTES, OPEN_PATHS

OPEN = {
    *(("GET", path) for path in OPEN_PATHS),
    ("POST", "/edge/v1/enrol"),  # its body carries a one-time secret
    ("GET", "/tuf/1.root.json"),  # what an agent checks against the digest in its join token
}
BUILDERS = {
    ("POST", "/api/v1/review/dataset"),
    ("POST", "/api/v1/review/{key}"),
    ("PUT", "/api/v1/uploads"),
    ("POST", "/api/v1/datasets/{name}/versions"),
    ("POST", "/api/v1/runs"),
    ("POST", "/api/v1/runs/{run_id}/cancel"),
    ("POST", "/api/v1/improvements"),
}
RELEASERS = {
    ("POST", "/api/v1/releases"),
    ("POST", "/api/v1/releases/{key}/withdraw"),
    ("POST", "/api/v1/rollouts"),
    ("POST", "/api/v1/rollouts/{rollout_id}/stop"),
    ("POST", "/api/v1/rollouts/{rollout_id}/rollback"),
    ("POST", "/api/v1/improvements/{improvement_id}/approve"),
    ("POST", "/api/v1/improvements/{improvement_id}/reject"),
}
ADMINS = {
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("DELETE", "/api/v1/tokens/{name}"),
    ("GET", "/api/v1/accounts"),
    ("POST", "/api/v1/accounts"),
    ("PUT", "/api/v1/accounts/{name}/role"),
    ("PUT", "/api/v1/accounts/{name}/password"),
    ("POST", "/api/v1/accounts/{name}/disable"),
    ("POST", "/api/v1/accounts/{name}/enable"),
    ("POST", "/api/v1/join-tokens"),
    ("DELETE", "/api/v1/sites/{name}"),
    ("PUT", "/api/v1/improvements/policy"),
}
READERS_MAY_POST = {("POST", "/api/v1/recipes/check")}
"""It only looks: nothing is kept."""


def surface_of(path: str) -> Surface:
    """Whose credential a path wants."""
    prefixes = {"/api/v1/": Surface.API, "/edge/v1/": Surface.EDGE}
    return next((s for p, s in prefixes.items() if path.startswith(p)), Surface.REGISTRY)


def concrete(path: str) -> str:
    """A path of this template."""
    path = re.sub(r"\{(version|number)\}", "1", path)
    return re.sub(r"\{[a-z_]+(:path)?\}", "x", path)


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path template) of everything that the app answers."""
    listed = [(m.upper(), path) for path, ms in app.openapi()["paths"].items() for m in ms]
    plain = [route for route in app.router.routes if isinstance(route, Route)]
    mounted = [(method, route.path) for route in plain for method in sorted(route.methods or ())]
    return sorted({*listed, *mounted, ("GET", "/tuf/1.root.json")})


def needed(method: str, path: str) -> Role:
    """The lowest role that a route of `/api/v1` lets in."""
    for role, those in ((Role.ADMIN, ADMINS), (Role.RELEASER, RELEASERS), (Role.BUILDER, BUILDERS)):
        if (method, path) in those:
            return role
    assert method == "GET" or (method, path) in READERS_MAY_POST, f"who may {method} {path}?"
    return Role.READER


@pytest.fixture(scope="module")
def client(composed: FastAPI) -> Iterator[TestClient]:
    with TestClient(composed, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def secrets(composed: FastAPI) -> dict[str, str]:
    """One credential of each surface, an admin's session at the console among them, and one of
    each role."""
    database = composed.state.database
    issued = [one for one in Surface if one is not Surface.CONSOLE]
    found = {"console": Town(database, now=now_ms()).signed_up("boss", Role.ADMIN)}
    with database.transaction() as session:
        found |= {s.value: access.issue(session, "test", s, "x") for s in issued}
        found |= {
            role.word: access.issue(session, "test", Surface.API, role.word, role=role)
            for role in Role
        }
    found["api"] = found["admin"]
    return found


def status(client: TestClient, method: str, path: str, secret: str | None = None) -> int:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    return client.request(method, concrete(path), headers=headers).status_code


def is_open(method: str, path: str) -> bool:
    return ("GET" if method == "HEAD" else method, path) in OPEN


def test_nobody_and_strangers_are_let_in_nowhere(
    client: TestClient, composed: FastAPI, secrets: dict[str, str]
) -> None:
    walked = routes(composed)
    assert len(walked) > 60
    for method, path in walked:
        if is_open(method, path):
            continue
        own = surface_of(path)
        wrong = ["", "dz_api_guessed", *(secrets[s.value] for s in Surface if s is not own)]
        codes = [status(client, method, path), *(status(client, method, path, w) for w in wrong)]
        assert codes == [401] * len(codes), f"{method} {path} answered {codes}"


def test_own_credentials_are_let_in_everywhere(
    client: TestClient, composed: FastAPI, secrets: dict[str, str]
) -> None:
    for method, path in routes(composed):
        code = status(client, method, path, secrets[surface_of(path).value])
        assert code not in (401, 403, 500), f"{method} {path} answered {code}"


def test_every_role_is_let_in_where_it_should_be(
    client: TestClient, composed: FastAPI, secrets: dict[str, str]
) -> None:
    for method, path in routes(composed):
        if surface_of(path) is not Surface.API or is_open(method, path):
            continue
        lowest = needed(method, path)
        refused = [r for r in Role if status(client, method, path, secrets[r.word]) == 403]
        assert refused == [r for r in Role if r < lowest], f"{method} {path}"


def test_open_routes_are_open(client: TestClient, composed: FastAPI) -> None:
    for method, path in OPEN:
        assert (method, path) in routes(composed)
        assert status(client, method, path) not in (401, 403, 404, 500), path


def test_basic_credentials_are_as_good_as_bearer(
    client: TestClient, secrets: dict[str, str]
) -> None:
    basic = base64.b64encode(f"x:{secrets['registry']}".encode()).decode()
    assert client.get("/v2/", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    assert client.get("/v2/").headers["www-authenticate"].startswith("Basic")


def test_a_strangers_body_is_not_even_read(client: TestClient) -> None:

    json = {"Content-Type": "application/json"}
    assert client.post("/api/v1/runs", content=b"{{{", headers=json).status_code == 401


@pytest.mark.parametrize("declared", [True, False])
def test_too_large_a_body_is_refused(
    client: TestClient, secrets: dict[str, str], declared: bool
) -> None:
    whole = b'{"kind": "' + b"x" * MAX_BODY_BYTES + b'"}'
    pieces = (whole[start : start + 65536] for start in range(0, len(whole), 65536))
    answer = client.post(
        "/api/v1/runs",
        content=whole if declared else pieces,
        headers={
            "Authorization": f"Bearer {secrets['admin']}",
            "Content-Type": "application/json",
        },
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1", 404),
        ("PATCH", "/api/v1/runs", 405),
        ("GET", "/", 404),
        ("GET", "/v2/default/none/tags/list", 404),
        ("PUT", "/v2/default/none/manifests/1", 405),
    ],
)
def test_what_is_not_there(
    client: TestClient, secrets: dict[str, str], method: str, path: str, code: int
) -> None:
    assert status(client, method, path, secrets[surface_of(path).value]) == code
