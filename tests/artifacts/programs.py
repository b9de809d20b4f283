"""Real programs and servers that the tests of this room talk to."""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from tests.conftest import require_program

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.server import registry_routes

CREDENTIALS = {"s3cret": "default", "other-s3cret": "elsewhere"}


def authorise(request: Request) -> str | None:
    """The hub's rule in small: Basic password or bearer token to project."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    secret = base64.b64decode(value).decode().partition(":")[2] if scheme == "Basic" else value
    return CREDENTIALS.get(secret)


def registry_app(layout: Layout) -> Starlette:
    """The hub's `/v2/` as an application of its own."""
    return Starlette(routes=registry_routes(layout, authorise))


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The app under uvicorn on a free loopback port; yields `127.0.0.1:port`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


@contextmanager
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
        [program, "serve", str(config)], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stderr is not None
        yield _address(process.stderr)
    finally:
        process.kill()
        process.communicate()


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
