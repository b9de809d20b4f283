"""The family that counts: its engine as a process, and a site's API before it in this one."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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


def posted(content: bytes, length: int) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + content
