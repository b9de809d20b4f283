"""Real programs and servers that the tests of this room talk to."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.conftest import require_program

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.server import registry_routes

CREDENTIALS = {"s3cret": "default", "other-s3cret": "elsewhere"}


def authorise(request: Request) -> str | None:
    """The hub's rule in small: Basic password or bearer token to project."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    secret = base64.b64decode(value).decode().partition(":")[2] if scheme == "Basic" else value
    return CREDENTIALS.get(secret)


class Cutting:
    """An application in front of another whose answers break off, a real connection each time.

    `remaining` counts the answers that are still to be cut, each after `num_bytes` of its body.
    """

    def __init__(self, app: ASGIApp, num_bytes: int, remaining: int) -> None:
        self._app = app
        self._num_bytes = num_bytes
        self.remaining = remaining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = 0

        async def send_until_cut(message: Message) -> None:
            nonlocal sent
            body = message.get("body", b"")
            if self.remaining and sent + len(body) > self._num_bytes:
                await send({**message, "body": body[: self._num_bytes - sent], "more_body": True})
                self.remaining -= 1
                raise ConnectionAbortedError
            sent += len(body)
            await send(message)

        with contextlib.suppress(ConnectionAbortedError):
            await self._app(scope, receive, send_until_cut)


def registry_app(layout: Layout) -> Starlette:
    """The hub's `/v2/` as an application of its own."""
    return Starlette(routes=registry_routes(layout, authorise))


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The app under uvicorn on a free loopback port; yields `127.0.0.1:port`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", ws="none", lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


@contextlib.contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """A `docker-registry` process on a free loopback port; yields `127.0.0.1:port`."""
    program = require_program("docker-registry")
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: info}\nhttp: {addr: '127.0.0.1:0'}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
    process = subprocess.Popen(
        [program, "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    draining = threading.Thread(target=process.stderr.read)
    try:
        address = _address(process.stderr)
        draining.start()  # so that a long log never stops the registry
        yield address
    finally:
        process.kill()
        process.wait()
        if draining.ident is not None:
            draining.join(timeout=30)
        process.stderr.close()


def _address(log: Iterator[str]) -> str:
    lines = []
    for line in log:
        lines.append(line)
        if match := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
            return match[1]
    raise AssertionError("docker-registry did not start:\n" + "".join(lines))


def skopeo_copy(source: str, destination: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`skopeo copy --all`, not checked."""
    program = require_program("skopeo")
    command = [program, "copy", "--all", "--quiet", *options, source, destination]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
