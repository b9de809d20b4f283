"""Bodies that a site must not send: refused at a real hub in the one shape of errors, and nothing
changes. Every value that pydantic bounds is tried in tests/sites."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.cli.door import ok
from tests.e2e.raw_http import begin
from tests.e2e.refusals import RunningHub, refusal_of, refused_over_http

from dizuo.agent.home import AgentHome
from dizuo.agent.join import JoinRequest, join
from dizuo.edge.wire import (
    MAX_CHECK_IN_BYTES,
    MAX_SAMPLES_PER_UPLOAD,
    MAX_UPLOAD_BYTES,
    sample_digest,
)

CHECK_IN, SAMPLES, ENROL = "/edge/v1/check-in", "/edge/v1/samples", "/edge/v1/enrol"
LIMITS = {CHECK_IN: MAX_CHECK_IN_BYTES, SAMPLES: MAX_UPLOAD_BYTES, ENROL: MAX_CHECK_IN_BYTES}
DIGEST = "sha256:" + "a" * 64
SAID: dict[str, Any] = {"state": "serving", "running": {"generation": 0}}
STACK = {"name": "x", "version": 1, "digest": DIGEST, "family": "vision", "target": "onnx"}
SAMPLE: dict[str, Any] = {
    "digest": sample_digest({"n": 1}, DIGEST),
    "family": "vision",
    "served_as": "x",
    "stack_digest": DIGEST,
    "row": {"n": 1},
    "answer": "tall",
    "confidence": 0.5,
    "reason": "novel",
    "taken_ms": 1,
}
NOT_OBJECTS = {
    "nothing": b"",
    "not JSON": b"{nope",
    "not text": b"\xff\xfe",
    "half of it": json.dumps(SAID).encode()[:-1],
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"7",
    "null": b"null",
    "nested without end": b"[" * 100_000,
}


@pytest.fixture(scope="module")
def edge(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Plain HTTP with the edge credential of a site of its own."""
    token = ok("--home", str(hub.home), "site", "token", "--json").json["token"]
    home = AgentHome(tmp_path_factory.mktemp("site") / "home")
    credential = join(home, JoinRequest(token, "bad-bodies")).edge_credential
    with hub.http(credential) as client:
        assert client.post(CHECK_IN, json=SAID).status_code == 200
        yield client
    ok("--home", str(hub.home), "site", "rm", "bad-bodies")


def said(**changes: Any) -> dict[str, Any]:
    return {**SAID, **changes}


def samples(**changes: Any) -> dict[str, Any]:
    return {"samples": [{**SAMPLE, **changes}]}


@pytest.mark.parametrize("path", LIMITS)
@pytest.mark.parametrize("name", NOT_OBJECTS)
def test_a_body_that_is_no_object(
    hub: RunningHub, edge: httpx2.Client, path: str, name: str
) -> None:
    with hub.unchanged():
        told = refused_over_http(edge.post(path, content=NOT_OBJECTS[name]), 400)
    told.matches("invalid_input", "The request is wrong at its start: ", "versions that fit")


# the address, the body: what is said
BODIES: dict[str, tuple[str, Any, str]] = {
    "a check-in without a state": (CHECK_IN, {"running": {"generation": 0}}, "state: Field req"),
    "a check-in in an odd state": (CHECK_IN, said(state="odd"), "state: Input should be 'empty'"),
    "a check-in with a key too many": (CHECK_IN, said(mood=1), "mood: Extra inputs are not"),
    "a check-in with a key without end": (CHECK_IN, said(**{"k" * 5000: 1}), "k{80}: Extra in"),
    "a check-in with a key of two lines": (CHECK_IN, said(**{"a\nb": 1}), r"'a\\nb': Extra inp"),
    "a check-in that runs a text": (CHECK_IN, said(running="x"), "running: Input should be"),
    "a generation below zero": (
        CHECK_IN, said(running={"generation": -1}), r"running\.generation: Input should be gre",
    ),
    "two stacks under one name": (
        CHECK_IN,
        said(running={"generation": 1, "stacks": [{**STACK, "served_as": "x"}] * 2}),
        "running: two stacks would be served under one name",
    ),
    "a stack without its digest": (
        CHECK_IN,
        said(running={"generation": 1, "stacks": [{**STACK, "served_as": "x", "digest": "1"}]}),
        r"running\.stacks\.0\.digest: String should match",
    ),
    "an address that is none": (CHECK_IN, said(inference_url="ftp://x"), "inference_url: String"),
    "more answers than there can be": (CHECK_IN, said(answers=10**30), "answers: "),
    "an error that is a text": (CHECK_IN, said(error="it broke"), "error: Input should be"),
    "no samples at all": (SAMPLES, {}, "samples: Field required"),
    "samples that are an object": (SAMPLES, {"samples": {"a": 1}}, "samples: Input should be"),
    "samples that are numbers": (SAMPLES, {"samples": [7]}, r"samples\.0: Input should be"),
    "too many samples": (
        SAMPLES,
        {"samples": [SAMPLE] * (MAX_SAMPLES_PER_UPLOAD + 1)},
        "samples: Tuple should have at most 64 items",
    ),
    "a sample with a key too many": (SAMPLES, samples(mood=1), r"samples\.0\.mood: Extra inputs"),
    "a sample without a digest": (SAMPLES, samples(digest=""), r"samples\.0\.digest: String"),
    "a sample that is too sure": (SAMPLES, samples(confidence=2), r"0\.confidence: Input should"),
    "a sample for no reason": (SAMPLES, samples(reason="whim"), r"reason: Input should be 'unce"),
    "a sample from before time": (SAMPLES, samples(taken_ms=-1), r"0\.taken_ms: Input should be"),
    "a sample whose row is a text": (SAMPLES, samples(row="x"), r"samples\.0\.row: Input should"),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES.values(), ids=list(BODIES))
def test_a_body_that_says_what_it_cannot(
    hub: RunningHub, edge: httpx2.Client, case: tuple[str, Any, str]
) -> None:
    path, body, says = case
    with hub.unchanged():
        told = refused_over_http(edge.post(path, json=body), 400)
    told.matches("invalid_input", f"The request is wrong at .*{says}", "versions that fit")


@pytest.mark.parametrize("path", LIMITS)
def test_a_body_that_is_too_large(hub: RunningHub, edge: httpx2.Client, path: str) -> None:
    limit = LIMITS[path]

    def unannounced() -> Iterator[bytes]:
        for _ in range(limit // 1_000_000 + 1):
            yield bytes(1_000_000)

    headers = {"Authorization": edge.headers["authorization"], "Content-Length": str(limit + 1)}
    with hub.unchanged():
        early = begin(hub.client.url, "POST", path, headers, b"{")
        late = refused_over_http(edge.post(path, content=unannounced()), 413)
    assert early.status == 413
    for told in (refusal_of(early.body), late):
        told.matches("body_too_large", f"larger than {limit} bytes", "Send less at once")


def test_a_body_of_a_stranger_is_not_read(hub: RunningHub) -> None:
    with hub.unchanged():
        for path in (CHECK_IN, SAMPLES):
            answer = begin(hub.client.url, "POST", path, {"Content-Length": "100000"}, b"{")
            assert answer.status == 401
            refusal_of(answer.body).matches("credential_refused", "missing or not accepted")


def test_samples_of_a_stack_that_the_site_never_had_are_refused_one_by_one(
    hub: RunningHub, edge: httpx2.Client
) -> None:
    with hub.unchanged():
        answer = edge.post(SAMPLES, json={"samples": [SAMPLE]})
    assert answer.status_code == 200
    (refusal,) = answer.json()["refused"]
    assert refusal["digest"] == SAMPLE["digest"]
    assert refusal["reason"].startswith("the site was never directed to run the stack aaaaaaaaaaaa")
