"""Bad HTTP at the hub: every route that its own description lists answers in the one shape of
errors, and nothing changes. Credentials on every route are walked in tests/hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.e2e.raw_http import begin
from tests.e2e.refusals import RunningHub, refusal_of, refused_over_http

from dizuo.datasets.uploads import MAX_UPLOAD_BYTES
from dizuo.hub.gatekeeper import MAX_BODY_BYTES

NOBODY = "no-such-thing"
JSON_TYPE = {"content-type": "application/json"}
NOT_OBJECTS = (b"", b"{nope", b"\xff\xfe", b"[]", b'"text"', b"7", b"null", b"[" * 100_000)
WRONG_TYPES = {
    key: value
    for keys, value in (
        (("kind", "stack", "text", "name", "role", "dataset", "upload", "url", "recipe"), 7),
        (("sites", "label", "unusable", "ttl_seconds", "family", "format"), {"an": "object"}),
    )
    for key in keys
}


@pytest.fixture
def http(hub: RunningHub) -> Iterator[httpx2.Client]:
    with hub.http() as client:
        yield client


def routes(http: httpx2.Client) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of every route under /api/v1."""
    described = http.get("/api/v1/openapi.json").json()["paths"]
    return [
        (method.upper(), path, operation)
        for path, operations in described.items()
        if path.startswith("/api/v1")
        for method, operation in operations.items()
    ]


def filled(path: str, operation: dict[str, Any], number: str = "7777") -> str:
    """The path with an id that nothing has, or a number where one is wanted."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            is_number = parameter["schema"].get("type") == "integer"
            path = path.replace(f"{{{parameter['name']}}}", number if is_number else NOBODY)
    assert "{" not in path
    return path


def test_an_unknown_id_on_every_route_by_id(hub: RunningHub, http: httpx2.Client) -> None:
    by_id = [(path, op) for method, path, op in routes(http) if method == "GET" and "{" in path]
    assert len(by_id) >= 12
    with hub.unchanged():
        for path, operation in by_id:
            query = {"from": 1, "to": 2} if path.endswith("/diff") else None
            told = refused_over_http(http.get(filled(path, operation), params=query), 404)
            assert told.message.startswith("There is no "), (path, told)
            assert told.next_step, (path, told)


def test_a_number_that_is_none_or_has_no_end(hub: RunningHub, http: httpx2.Client) -> None:
    numbered = [
        (path, operation)
        for method, path, operation in routes(http)
        if method == "GET" and filled(path, operation) != filled(path, operation, "8888")
    ]
    assert numbered
    with hub.unchanged():
        for path, operation in numbered:
            refused_over_http(http.get(filled(path, operation, "many")), 400)
            answer = http.get(filled(path, operation, "9" * 40))
            assert answer.status_code in (400, 404)
            refused_over_http(answer, answer.status_code)


def test_a_number_that_has_no_end_where_the_name_is_known(
    hub: RunningHub, http: httpx2.Client
) -> None:
    endless = "9" * 23
    paths = (
        f"datasets/bars/versions/{endless}",
        f"datasets/bars/versions/{endless}/rows",
        f"datasets/bars/versions/{endless}/rejects",
        f"datasets/bars/versions/1/rows?offset={endless}",
        f"datasets/bars/diff?from=1&to={endless}",
        f"stacks/reader/{endless}",
        f"audit?after={endless}",
    )
    with hub.unchanged():
        for path in paths:
            told = refused_over_http(http.get(f"/api/v1/{path}"), 400)
            assert told.code == "invalid_input", path


def test_an_unknown_id_on_every_change_by_id(hub: RunningHub, http: httpx2.Client) -> None:
    without_body = [
        (method, filled(path, operation))
        for method, path, operation in routes(http)
        if method in ("POST", "DELETE") and "{" in path and "requestBody" not in operation
    ]
    assert len(without_body) >= 6
    with hub.unchanged():
        for method, path in without_body:
            refused_over_http(http.request(method, path), 404)


def test_bodies_that_are_no_object_on_every_route(hub: RunningHub, http: httpx2.Client) -> None:
    with_body = [
        (filled(path, operation), operation["requestBody"].get("required", False))
        for method, path, operation in routes(http)
        if method == "POST" and "requestBody" in operation
    ]
    assert len(with_body) >= 9
    with hub.unchanged():
        for path, is_required in with_body:
            # Where a body may be left out, nothing and null are none.
            for body in (one for one in NOT_OBJECTS if is_required or one not in (b"", b"null")):
                told = refused_over_http(http.post(path, content=body, headers=JSON_TYPE), 400)
                assert told.code == "invalid_input"
            told = refused_over_http(http.post(path, content=b"{nope", headers=JSON_TYPE), 400)
            assert told.message == "The request's body is not JSON."
            told = refused_over_http(http.post(path, content=b"[]", headers=JSON_TYPE), 400)
            assert told.message == "The request is not a JSON object."


def test_keys_and_types_that_do_not_belong_on_every_route(
    hub: RunningHub, http: httpx2.Client
) -> None:
    with_body = [
        filled(path, operation)
        for method, path, operation in routes(http)
        if method == "POST" and "requestBody" in operation
    ]
    with hub.unchanged():
        for path in with_body:
            for body in ({"surprise": 1}, WRONG_TYPES):
                told = refused_over_http(http.post(path, json=body), 400)
                assert " is wrong at " in told.message, told


# method, path, body: the status, the code, what is said
REQUESTS: dict[str, tuple[str, str, Any, int, str, str]] = {
    "a run of an unknown kind": (
        "POST", "/api/v1/runs", {"kind": "guess"}, 400, "unknown_run_kind",
        "There is no kind of run 'guess'",
    ),
    "a run with a key too many": (
        "POST", "/api/v1/runs", {"kind": "tune", "recipe": "x", "colour": 1}, 400,
        "invalid_input", "The run is wrong at colour",
    ),
    "gates of an unknown stack": (
        "POST", "/api/v1/runs", {"kind": "gate", "stack": "nobody:1"}, 404, "stack_not_found",
        "There is no stack nobody:1",
    ),
    "gates of no reference": (
        "POST", "/api/v1/runs", {"kind": "gate", "stack": "@@"}, 400, "invalid_reference",
        "is not a reference to a stack",
    ),
    "an import of a path": (
        "POST", "/api/v1/runs",
        {"kind": "import", "upload": "../../etc/passwd", "name": "x", "family": "vision"}, 400,
        "invalid_input", "'../../etc/passwd' is not a digest",
    ),
    "a release of an unknown stack": (
        "POST", "/api/v1/releases", {"stack": "nobody:1"}, 404, "stack_not_found",
        "There is no stack nobody:1",
    ),
    "a release of another digest": (
        "POST", "/api/v1/releases", {"stack": "reader:1@sha256:" + "0" * 64}, 404,
        "stack_not_found", "There is no (version|stack) reader:1@sha256:0",
    ),
    "a release of another project's": (
        "POST", "/api/v1/releases", {"stack": "other/reader:1"}, 404, "stack_not_found",
        "There is no stack other/reader:1 in the project default",
    ),
    "a rollout of what was never released": (
        "POST", "/api/v1/rollouts", {"stack": "nobody:1", "sites": "all"}, 404,
        "release_not_found", "nobody:1 is not released",
    ),
    "a rollout to no site": (
        "POST", "/api/v1/rollouts", {"stack": "nobody:1", "sites": []}, 400, "invalid_input",
        r"The request is wrong at body\.sites: List should have at least 1 item",
    ),
    "a rollout under a name that is none": (
        "POST", "/api/v1/rollouts", {"stack": "x:1", "sites": "all", "served_as": "A B"}, 400,
        "invalid_input", r"wrong at body\.served_as",
    ),
    "a token for an unknown role": (
        "POST", "/api/v1/tokens", {"name": "x", "role": "king"}, 400, "invalid_input",
        r"body\.role: Input should be 'reader', 'builder'",
    ),
    "a second token of one name": (
        "POST", "/api/v1/tokens", {"name": "admin", "role": "reader"}, 409, "token_exists",
        "There is a token named admin already",
    ),
    "a join token for a second": (
        "POST", "/api/v1/join-tokens", {"ttl_seconds": 1}, 400, "invalid_input",
        r"body\.ttl_seconds: Input should be greater than or equal to 60",
    ),
    "an improvement by a text that is no recipe": (
        "POST", "/api/v1/improvements",
        {"recipe": "x", "dataset": "d", "family": "vision", "sites": ["a"]}, 400,
        "recipe_refused", "A recipe must be a mapping",
    ),
    "a page before the first": (
        "GET", "/api/v1/datasets/bars/versions/1/rows?offset=-1", None, 400, "invalid_input",
        r"wrong at query\.offset",
    ),
    "a page without end": (
        "GET", f"/api/v1/datasets/bars/versions/1/rows?offset={10**30}", None, 400,
        "invalid_input", r"wrong at query\.offset",
    ),
    "no runs at a time": (
        "GET", "/api/v1/runs?limit=0", None, 400, "invalid_input", r"wrong at query\.limit",
    ),
    "runs in an odd state": (
        "GET", "/api/v1/runs?state=odd", None, 400, "invalid_input", r"wrong at query\.state",
    ),
    "a head of the audit log that is none": (
        "GET", "/api/v1/audit/verify?head=zzz", None, 400, "invalid_input", r"query\.head",
    ),
    "an empty upload": (
        "PUT", "/api/v1/uploads", None, 400, "source_refused", "The upload is empty",
    ),
    "an address that is none": (
        "GET", "/api/v1/nowhere", None, 404, "not_found", "GET /api/v1/nowhere: Not Found",
    ),
    "a method that an address has not": (
        "PATCH", "/api/v1/runs", None, 405, "method_refused", "PATCH /api/v1/runs: Method Not",
    ),
    "a name with a zero byte": (
        "GET", "/api/v1/sites/%00", None, 404, "site_not_found", "There is no site",
    ),
    "a name without end": (
        "GET", "/api/v1/sites/" + "x" * 5000, None, 404, "site_not_found", "There is no site",
    ),
    "a reference that is none": (
        "GET", "/api/v1/references?stack=@@", None, 400, "invalid_reference",
        "'@@' is not a reference to a stack",
    ),
    "no reference": (
        "GET", "/api/v1/references", None, 400, "invalid_input", r"wrong at query\.stack",
    ),
    "a site that enrols with nothing": (
        "POST", "/edge/v1/enrol", {}, 400, "invalid_input", "wrong at secret: Field required",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS.values(), ids=list(REQUESTS))
def test_a_request_that_asks_wrongly(
    hub: RunningHub, http: httpx2.Client, case: tuple[str, str, Any, int, str, str]
) -> None:
    method, path, body, status, code, says = case
    with hub.unchanged():
        answer = http.request(method, path, json=body)
    refused_over_http(answer, status).matches(code, says)


def test_a_body_that_is_too_large(hub: RunningHub, http: httpx2.Client) -> None:
    large = json.dumps({"kind": "tune", "recipe": "x" * MAX_BODY_BYTES}).encode()

    def unannounced() -> Iterator[bytes]:
        yield large[: len(large) // 2]
        yield large[len(large) // 2 :]

    with hub.unchanged():
        for body in (large, unannounced()):
            told = refused_over_http(
                http.post("/api/v1/runs", content=body, headers=JSON_TYPE), 413
            )
            told.matches("too_large", f"the request is larger than {MAX_BODY_BYTES} bytes")


def test_an_upload_that_announces_too_much(hub: RunningHub) -> None:
    headers = {"Authorization": f"Bearer {hub.token}", "Content-Length": str(10**14)}
    with hub.unchanged():
        answer = begin(hub.client.url, "PUT", "/api/v1/uploads", headers, b"x")
    assert answer.status == 413
    says = f"An upload may have at most {MAX_UPLOAD_BYTES:,} bytes"
    refusal_of(answer.body).matches("too_large", says, "Add a dataset in parts; of a model send")
    assert not list((hub.home / "uploads").glob("*.part"))
