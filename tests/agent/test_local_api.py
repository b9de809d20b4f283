"""What applications meet at the local API of a real agent, good input and bad."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.types import Message
from tests.agent.agent_process import AgentProcess, request
from tests.agent.hub_simulator import PATIENCE_SECONDS, HubSimulator
from tests.agent.stacks import Built

from dizuo.agent.errors import BodyOverdue
from dizuo.agent.request_body import read_body

LIMIT = 20_000
PLACES = 8


@pytest.fixture(scope="module")
def built() -> list[Built]:
    return []


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, built: list[Built]) -> Iterator[httpx2.Client]:
    """A client of one agent that serves `meter`."""
    folder = tmp_path_factory.mktemp("api")
    hub = HubSimulator(folder / "hub")
    hub.start()
    agent = AgentProcess(folder / "agent", hub)
    agent.settings["DIZUO_AGENT_REQUEST_BYTES_AT_MOST"] = str(LIMIT)
    agent.settings["DIZUO_AGENT_REQUESTS_IN_FLIGHT"] = str(PLACES)
    agent.join()
    agent.start()
    built.append(hub.build(scale=1.0))
    hub.direct("site3", built[0].direction("meter"))
    agent.wait_until_serves(1)
    with httpx2.Client(base_url=agent.url) as client:
        yield client
    agent.kill()
    hub.stop()


def test_models_in_the_form_openai_clients_read(api: httpx2.Client, built: list[Built]) -> None:
    assert api.get("/v1/models").json() == {
        "object": "list",
        "data": [
            {
                "id": "meter",
                "object": "model",
                "created": 0,
                "owned_by": "dizuo",
                "stack": "meter:1",
                "digest": built[0].digest,
            }
        ],
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/meter/ready", {"name": "meter", "ready": True}),
        ("/v2/models/meter/versions/1/ready", {"name": "meter", "ready": True}),
    ],
)
def test_health(api: httpx2.Client, path: str, body: dict[str, Any]) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (200, body)


def test_server_metadata(api: httpx2.Client) -> None:
    assert api.get("/v2").json() == {"name": "dizuo", "version": "0.1.0", "extensions": []}


@pytest.mark.parametrize("path", ["/v2/models/meter", "/v2/models/meter/versions/1"])
def test_model_metadata(api: httpx2.Client, path: str, built: list[Built]) -> None:
    assert api.get(path).json() == {
        "name": "meter",
        "versions": ["1"],
        "platform": "scales",
        "inputs": [{"name": "value", "datatype": "FP64", "shape": [-1]}],
        "outputs": [{"name": "side", "datatype": "BYTES", "shape": [-1]}],
        "parameters": {"stack_digest": built[0].digest},
    }


@pytest.mark.parametrize("path", ["/v2/models/meter/infer", "/v2/models/meter/versions/1/infer"])
def test_an_answer(api: httpx2.Client, path: str, built: list[Built]) -> None:
    answer = api.post(path, json=request(-4.0, 4.0))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model_name": "meter",
        "model_version": "1",
        "parameters": {"stack_digest": built[0].digest},
        "outputs": [{"name": "side", "datatype": "BYTES", "shape": [2], "data": ["low", "high"]}],
    }


def test_status_is_what_the_command_shows(api: httpx2.Client) -> None:
    status = api.get("/status").json()
    assert status["state"] == "serving"
    assert status["running"]["generation"] == 1
    assert (status["samples_waiting"], status["samples_dropped"]) == (0, 0)


@pytest.mark.parametrize(
    ("path", "body", "status_and_code", "says"),
    [
        ("unknown/infer", b"{}", (404, "unknown_model"), "serves no model 'unknown'"),
        ("x" * 300 + "/infer", b"{}", (404, "unknown_model"), "serves no model 'xxx"),
        ("meter/versions/9/infer", b"{}", (404, "unknown_model"), "in version 1, not '9'"),
        ("meter/infer", b"", (400, "invalid_input"), "is not JSON"),
        ("meter/infer", b"not JSON", (400, "invalid_input"), "is not JSON"),
        ("meter/infer", b'{"inputs": [', (400, "invalid_input"), "is not JSON"),
        ("meter/infer", b"\xff\xfe\x00", (400, "invalid_input"), "is not JSON"),
        ("meter/infer", b"[" * 9_000, (400, "invalid_input"), "is not JSON"),
        ("meter/infer", b"[1, 2]", (400, "invalid_input"), "not a JSON object"),
        ("meter/infer", b"{}", (400, "invalid_input"), "exactly one input"),
        ("meter/infer", b'{"inputs": [{"data": "x"}]}', (400, "invalid_input"), "list of numbers"),
        ("meter/infer", b" " * (LIMIT + 1), (413, "too_large"), "larger than the 20000 bytes"),
    ],
)
def test_bad_requests_get_one_clear_sentence(
    api: httpx2.Client, path: str, body: bytes, status_and_code: tuple[int, str], says: str
) -> None:
    answer = api.post(f"/v2/models/{path}", content=body)
    told = answer.json()
    assert (answer.status_code, told["code"]) == status_and_code
    assert says in told["message"]
    assert told["error"] == f"{told['message']} {told['next_step']}".strip()  # for OIP's clients
    assert told["retryable"] is False
    assert api.post("/v2/models/meter/infer", json=request(1.0)).status_code == 200


def test_a_body_without_a_length_is_bounded_too(api: httpx2.Client) -> None:
    answer = api.post("/v2/models/meter/infer", content=iter([b" " * 1000] * 100))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_compressed_body_is_not_unpacked(api: httpx2.Client) -> None:
    answer = api.post("/v2/models/meter/infer", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert "Compressed" in answer.json()["error"]


def test_the_largest_body_is_taken(api: httpx2.Client) -> None:
    body = json.dumps(request(1.0)).encode().ljust(LIMIT)
    assert api.post("/v2/models/meter/infer", content=body).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "next_step"),
    [
        ("GET", "/nowhere", 404, "not_found", "See GET /v2 and /v1/models."),
        ("GET", "/v2/nowhere", 404, "not_found", "See GET /v2 and /v1/models."),
        ("GET", "/v2/models/meter/infer", 405, "invalid_input", "Use POST."),
        ("POST", "/v1/models", 405, "invalid_input", "Use GET or HEAD."),
    ],
)
def test_other_addresses(
    api: httpx2.Client, *, method: str, path: str, status: int, code: str, next_step: str
) -> None:
    answer = api.request(method, path)
    told = answer.json()
    fields = told if path.startswith("/v2") else told["error"]
    assert (answer.status_code, fields["code"]) == (status, code)
    assert fields["next_step"] == next_step


def test_a_client_that_leaves_harms_nobody(api: httpx2.Client) -> None:
    host, port = str(api.base_url.host), api.base_url.port
    assert port is not None
    for _ in range(3):
        with socket.create_connection((host, port)) as raw:
            raw.sendall(
                b"POST /v2/models/meter/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
            )
    assert api.post("/v2/models/meter/infer", json=request(1.0)).status_code == 200


SLOW = b"POST /v2/models/meter/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"


def test_a_place_is_taken_before_a_body_is_read(api: httpx2.Client) -> None:
    address = (api.base_url.host, api.base_url.port or 0)
    deadline = time.monotonic() + PATIENCE_SECONDS
    with contextlib.ExitStack() as stack:
        while (answer := ask(api)).status_code == 200:  # each of them takes a place, or is refused
            stack.enter_context(socket.create_connection(address)).sendall(SLOW)
            assert time.monotonic() < deadline
        assert answer.json()["code"] == "engine_busy"
    while ask(api).status_code != 200:  # who leaves gives the place back
        assert time.monotonic() < deadline


def ask(api: httpx2.Client) -> httpx2.Response:
    return api.post("/v2/models/meter/infer", json=request(1.0))


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    monkeypatch.setattr("dizuo.agent.request_body.BODY_SECONDS", 0.01)
    with pytest.raises(BodyOverdue, match="did not arrive"):
        asyncio.run(read_body(Request(scope, silent), LIMIT))
