"""Who leaves before the answer is done ends it in the engine: a real process that counts for ever,
for one caller at a time, until it is told that nobody listens."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from tests.agent.hub_simulator import PATIENCE_SECONDS

from dizuo.agent.engine_host import EngineHost, EngineLimits
from dizuo.agent.engine_process import EnginePlan
from dizuo.agent.home import AgentHome
from dizuo.agent.local_api import LocalApi
from dizuo.agent.slots import Route, Slots
from dizuo.agent.state import SiteState
from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.edge.wire import Direction

FAMILY, TARGET, NAME = "counting", "plain", "counter"
DIGEST = sha256_bytes(b"counter")
LIMITS = EngineLimits(start_seconds=20, answer_seconds=10, requests_in_flight=4)
PATH = "/v1/chat/completions"


def body(**changes: Any) -> bytes:
    """A request to count, for ever unless `up_to` is given."""
    return json.dumps({"model": NAME, "messages": [], **changes}).encode()


@asynccontextmanager
async def counting(folder: Path) -> AsyncIterator[EngineHost]:
    """The engine; what is done with it must be done in good time."""
    stack = StackFiles(NAME, 1, DIGEST, TARGET, (LayerDirectory(Level.L0, NAME, folder),))
    plan = EnginePlan(FAMILY, 1, {NAME: stack})
    host = EngineHost(plan, folder / "engine.log", LIMITS, asyncio.Event())
    await host.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield host
    finally:
        await host.stop(0)


@asynccontextmanager
async def listening(host: EngineHost, folder: Path) -> AsyncIterator[int]:
    """The site's API before the engine; its port. At the end all requests have ended."""
    slots = Slots()
    direction = Direction(
        served_as=NAME, name=NAME, version=1, digest=DIGEST, family=FAMILY, target=TARGET
    )
    slots.switch({NAME: Route(direction, host)})
    state = SiteState(AgentHome(folder), lambda: 5, "none")
    app = LocalApi(slots, state, 10_000, lambda _answered: None).app()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def until(reached: Callable[[], bool]) -> None:
    while not reached():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_closed_ends_in_the_engine(tmp_path: Path, *, stream: bool) -> None:
    async def scenario() -> None:
        async with counting(tmp_path) as host:
            left = host.stream(NAME, body(stream=stream))
            if stream:
                assert json.loads(await anext(left.chunks())) == {"count": 1}
            else:
                await asyncio.sleep(0)  # its task begins, and sends the call
            assert host.num_in_flight == 1
            await left.close()
            assert host.num_in_flight == 0
            answer = await host.infer(NAME, body(up_to=3))
            assert json.loads(answer.body)["counted"] == 3

    asyncio.run(scenario())


def posted(content: bytes, length: int) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + content


@pytest.mark.parametrize("when", ["in the body", "before the answer", "in the stream"])
def test_who_hangs_up_frees_the_engine_and_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    content = body(stream=when == "in the stream")
    length = len(content) + (when == "in the body")

    async def scenario() -> None:
        async with counting(tmp_path) as host, listening(host, tmp_path) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(posted(content, length))
            if when == "before the answer":
                await until(lambda: host.num_in_flight == 1)
            elif when == "in the stream":
                await reader.readuntil(b'data: {"count":3}')
            writer.close()
            await writer.wait_closed()
            await until(lambda: host.num_in_flight == 0)
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                answer = await client.post(PATH, content=body(up_to=3))
            assert (answer.status_code, answer.json()["counted"]) == (200, 3)

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
