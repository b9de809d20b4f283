"""Bodies that nobody foresaw: what a site says is stored or refused, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.sites.conftest import Settings
from tests.sites.fleet import Fleet

from dizuo.access.http import install_error_handler
from dizuo.edge import wire
from dizuo.sites import edge_api

EDGES = (-1, 0, 1, 2**31 - 1, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 10**30)
"""Where columns and JSON readers stop to keep integers."""
INTEGERS = st.sampled_from(EDGES) | st.integers()
TEXTS = st.sampled_from(("", "x", "a\0b", "\n", "é" * 3000)) | st.text(max_size=20)
DIGEST = "sha256:" + "a" * 64
STACK = {"name": "x", "digest": DIGEST, "family": "vision", "target": "onnx"}
RUNNING = st.fixed_dictionaries(
    {"generation": INTEGERS},
    optional={
        "stacks": st.lists(
            st.fixed_dictionaries(
                {key: st.just(value) for key, value in STACK.items()}
                | {"served_as": st.sampled_from(("x", "y", "generation.json")), "version": INTEGERS}
            ),
            max_size=2,
        )
    },
)
ERRORS = st.fixed_dictionaries(
    {"generation": INTEGERS, "step": TEXTS, "code": TEXTS, "message": TEXTS, "at_ms": INTEGERS}
)
COUNTS = ("bytes_first_install", "bytes_last_update", "samples_waiting", "answers")
CHECK_INS = st.fixed_dictionaries(
    {"state": st.sampled_from(("empty", "updating", "serving", "fallen_back")), "running": RUNNING},
    optional=dict.fromkeys(COUNTS, INTEGERS)
    | dict.fromkeys(("inference_url", "agent_version", "egress_policy"), TEXTS)
    | {"error": st.none() | ERRORS},
)
OBVIOUS: dict[str, Any] = {"state": "serving", "running": {"generation": 1}}
FAULT: dict[str, Any] = {"generation": 1, "step": "s", "code": "c", "message": "m", "at_ms": 1}
MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def agent(any_fleet: Fleet, tmp_path: Path) -> Iterator[TestClient]:
    """The agent of the site `a`, which is being directed, at a hub on each database."""
    app = FastAPI()
    app.state.database = any_fleet.database
    app.state.settings = Settings()
    app.state.home = tmp_path / "home"
    app.include_router(edge_api.router)
    install_error_handler(app)
    secret = any_fleet.enrol(any_fleet.token(), "a").edge_credential
    any_fleet.release()
    any_fleet.start("meter-reading:1", ["a"])
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as client:
        yield client


@MANY
@given(body=CHECK_INS)
@example(body={**OBVIOUS, "answers": 2**53 - 1, "running": {"generation": 2**31 - 1}})
@example(body={**OBVIOUS, "answers": 2**63})
@example(body={**OBVIOUS, "running": {"generation": 2**31}})
@example(body={**OBVIOUS, "agent_version": "\0"})
@example(body={**OBVIOUS, "inference_url": "\0"})
@example(body={**OBVIOUS, "state": "fallen_back", "error": {**FAULT, "generation": 2**70}})
@example(body={**OBVIOUS, "state": "fallen_back", "error": {**FAULT, "message": "\0"}})
def test_a_check_in_is_stored_or_refused(
    agent: TestClient, any_fleet: Fleet, body: dict[str, Any]
) -> None:
    before = any_fleet.site("a")
    answer = agent.post("/edge/v1/check-in", content=json.dumps(body))
    assert answer.status_code in (200, 400), answer.text
    after = any_fleet.site("a")
    if answer.status_code == 400:
        assert after == before
    else:
        said = wire.CheckIn.model_validate(body)
        assert (after.running, after.error, after.answers) == (
            said.running,
            said.error,
            said.answers,
        )


@MANY
@given(taken_ms=INTEGERS, answer=st.recursive(INTEGERS | TEXTS | st.none(), st.lists, max_leaves=4))
@example(taken_ms=2**53 - 1, answer="a\0b")
@example(taken_ms=2**63, answer=None)
@example(taken_ms=1, answer=10**30)
def test_a_sample_is_taken_or_refused(
    agent: TestClient, any_fleet: Fleet, taken_ms: int, answer: Any
) -> None:
    stack = any_fleet.site("a").desired.stacks[0].digest
    row = {"image": {"base64": "iVBORw0KGgo="}, "n": answer}
    sample = {
        "digest": wire.sample_digest(row, stack),
        "family": "vision",
        "served_as": "meters",
        "stack_digest": stack,
        "row": row,
        "answer": answer,
        "confidence": 0.4,
        "reason": "uncertain",
        "taken_ms": taken_ms,
    }
    told = agent.post("/edge/v1/samples", content=json.dumps({"samples": [sample]}))
    assert told.status_code == (200 if 0 <= taken_ms < 2**53 else 400), told.text


@MANY
@given(version=TEXTS, name=TEXTS)
@example(version="\0", name="b")
def test_a_site_joins_or_is_refused(
    agent: TestClient, any_fleet: Fleet, version: str, name: str
) -> None:
    body = {"secret": "guess", "site_name": name, "agent_version": version}
    answer = agent.post("/edge/v1/enrol", content=json.dumps(body))
    assert answer.status_code in (400, 401), answer.text
