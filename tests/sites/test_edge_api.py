"""`/edge/v1` as agents meet it, and as those who pretend to be one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.sites.fleet import Fleet, names

from dizuo.access import service as access
from dizuo.access.model import Role, Surface
from dizuo.core.digests import short
from dizuo.edge import wire
from dizuo.edge.wire import CheckIn, CheckInReply, DesiredState, SampleReceipt

STACK = "sha256:" + "a" * 64
STACK_X = {
    "served_as": "x",
    "name": "x",
    "version": 1,
    "digest": STACK,
    "family": "vision",
    "target": "onnx",
}
CHECK_IN = {"state": "empty", "running": {"generation": 0}}
SIGNED_IN = [("/edge/v1/check-in", CHECK_IN), ("/edge/v1/samples", {"samples": []})]


@pytest.fixture
def agent(app: FastAPI, fleet: Fleet) -> Iterator[TestClient]:
    """The agent of the site `a`."""
    secret = fleet.enrol(fleet.token(), "a").edge_credential
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as client:
        yield client


def sample(stack: str = STACK, **changes: Any) -> dict[str, Any]:
    """A sample of a stack."""
    row = {"image": {"base64": "iVBORw0KGgo="}}
    fields = {
        "digest": wire.sample_digest(row, stack),
        "family": "vision",
        "served_as": "meters",
        "stack_digest": stack,
        "row": row,
        "answer": "7",
        "confidence": 0.4,
        "reason": "uncertain",
        "taken_ms": 1,
    }
    return {**fields, **changes}


@pytest.mark.parametrize(("path", "body"), SIGNED_IN)
def test_credentials(anybody: TestClient, fleet: Fleet, path: str, body: dict[str, object]) -> None:
    joined = fleet.enrol(fleet.token(), "a")
    with fleet.database.transaction() as session:
        operator = access.issue(session, "test", Surface.API, "ann", role=Role.ADMIN)
    for secret in (None, "wrong", operator, joined.registry_credential):
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        answer = anybody.post(path, headers=headers, json=body)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "credential_refused"
    good = {"Authorization": f"Bearer {joined.edge_credential}"}
    assert anybody.post(path, headers=good, json=body).status_code == 200


def test_a_check_in_is_answered(agent: TestClient, fleet: Fleet) -> None:
    fleet.release()
    fleet.start("meter-reading:1", ["a"])
    said = CheckIn(state="empty", running=DesiredState(generation=0), answers=5)
    answer = agent.post("/edge/v1/check-in", content=said.model_dump_json())
    reply = CheckInReply.model_validate_json(answer.content)
    assert names(reply.desired) == {"meter-reading": "meter-reading:1"}
    assert reply.poll_seconds == 7.5
    assert fleet.site("a").answers == 5


def test_a_site_speaks_for_itself_only(agent: TestClient, fleet: Fleet) -> None:
    fleet.join("b")
    before = fleet.site("b")
    agent.post("/edge/v1/check-in", json={**CHECK_IN, "state": "serving"})
    assert fleet.site("a").state == "serving"
    assert fleet.site("b") == before


def test_a_removed_site_is_locked_out(agent: TestClient, fleet: Fleet) -> None:
    from dizuo.sites import service

    with fleet.database.transaction() as session:
        service.remove(session, "a", "operator:ann")
    assert agent.post("/edge/v1/check-in", json=CHECK_IN).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {**CHECK_IN, "state": "dreaming"},
        {**CHECK_IN, "egress_policy": "All"},
        {**CHECK_IN, "inference_url": "javascript:alert(1)"},
        {**CHECK_IN, "inference_url": "http://a b"},
        {**CHECK_IN, "running": {"generation": 1, "stacks": [STACK_X, {**STACK_X, "version": 2}]}},
        {**CHECK_IN, "running": {"generation": 1, "stacks": [{**STACK_X, "served_as": "x.json"}]}},
        {**CHECK_IN, "answers": -1},
        {**CHECK_IN, "inference_url": "x" * 201},
        {**CHECK_IN, "running": {"generation": 0, "stacks": [{"served_as": "x"}]}},
        {**CHECK_IN, "site": "b"},
        {"state": "empty"},
        [],
        "text",
    ],
)
def test_a_wrong_check_in_changes_nothing(agent: TestClient, fleet: Fleet, body: object) -> None:
    before = fleet.site("a")
    answer = agent.post("/edge/v1/check-in", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert fleet.site("a") == before


@pytest.mark.parametrize("path", ["/edge/v1/enrol", "/edge/v1/check-in", "/edge/v1/samples"])
@pytest.mark.parametrize("body", [b"", b"not json", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_refused(agent: TestClient, path: str, body: bytes) -> None:
    answer = agent.post(path, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert len(answer.content) < 1000


def test_a_wrong_secret_is_never_repeated(anybody: TestClient) -> None:
    body = {"secret": "s3cret" * 60, "site_name": "a", "agent_version": "1"}
    answer = anybody.post("/edge/v1/enrol", json=body)
    assert answer.status_code == 400
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/edge/v1/enrol", wire.MAX_CHECK_IN_BYTES),
        ("/edge/v1/check-in", wire.MAX_CHECK_IN_BYTES),
        ("/edge/v1/samples", wire.MAX_UPLOAD_BYTES),
    ],
)
def test_a_body_that_is_too_large_is_refused(agent: TestClient, path: str, limit: int) -> None:
    answer = agent.post(path, content=b" " * (limit + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_body_that_does_not_say_its_length_is_counted_as_it_comes(
    app: FastAPI, fleet: Fleet, anyio_backend: str
) -> None:
    secret = fleet.enrol(fleet.token(), "a").edge_credential
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * wire.MAX_CHECK_IN_BYTES:
            sent += 50_000
            yield b" " * 50_000

    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
        answer = await client.post(
            "/edge/v1/check-in",
            content=endless(),
            headers={"Authorization": f"Bearer {secret}"},
        )
    assert answer.status_code == 413
    assert sent <= 2 * wire.MAX_CHECK_IN_BYTES


def test_without_a_credential_no_body_is_read(anybody: TestClient) -> None:
    answer = anybody.post("/edge/v1/samples", content=b" " * (wire.MAX_UPLOAD_BYTES + 1))
    assert answer.status_code == 401


def test_samples_are_taken_in_once(agent: TestClient, fleet: Fleet) -> None:
    stack = fleet.release().digest
    fleet.start("meter-reading:1", ["a"])
    good = sample(stack)
    upload = {"samples": [good, sample(stack, digest="sha256:" + "0" * 64)]}
    for _ in range(2):
        receipt = returned(agent, upload)
        assert receipt.accepted == (good["digest"],)
        assert [one.digest for one in receipt.refused] == ["sha256:" + "0" * 64]
    assert fleet.actions("samples") == ["samples.returned"]


def returned(agent: TestClient, upload: dict[str, Any]) -> SampleReceipt:
    """What becomes of an upload."""
    answer = agent.post("/edge/v1/samples", json=upload)
    assert answer.status_code == 200, answer.text
    return SampleReceipt.model_validate_json(answer.content)


def test_a_site_is_believed_about_the_stacks_it_was_directed_to(
    agent: TestClient, fleet: Fleet
) -> None:
    fleet.join("b")
    first, second = fleet.release(version=1).digest, fleet.release(version=2).digest
    fleet.start("meter-reading:1", ["a"])
    fleet.start("meter-reading:2", ["b"])
    upload = {
        "samples": [sample(first), sample(second), sample(), sample(first, family="speech")],
    }
    receipt = returned(agent, upload)
    assert receipt.accepted == (sample(first)["digest"],)
    assert [(one.digest, one.reason.split(" of family ")[0]) for one in receipt.refused] == [
        (sample(stack)["digest"], f"the site was never directed to run the stack {short(stack)}")
        for stack in (second, STACK, first)
    ]


def test_samples_of_a_stack_that_was_replaced_still_count(agent: TestClient, fleet: Fleet) -> None:
    first = fleet.release(version=1).digest
    fleet.release(version=2)
    fleet.start("meter-reading:1", ["a"])
    fleet.start("meter-reading:2", ["a"])
    assert returned(agent, {"samples": [sample(first)]}).accepted == (sample(first)["digest"],)


def test_too_many_samples_at_once_are_refused(agent: TestClient) -> None:
    upload = {"samples": [sample()] * (wire.MAX_SAMPLES_PER_UPLOAD + 1)}
    assert agent.post("/edge/v1/samples", json=upload).status_code == 400


@pytest.mark.parametrize(
    ("name", "expected"), [("a", (409, "site_name_taken")), ("A B", (400, "invalid_input"))]
)
def test_joining_under_a_bad_name(
    agent: TestClient, fleet: Fleet, name: str, expected: tuple[int, str]
) -> None:
    from dizuo.edge import join

    secret = join.decode(fleet.token()).secret
    body = {"secret": secret, "site_name": name, "agent_version": "1"}
    answer = agent.post("/edge/v1/enrol", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == expected
