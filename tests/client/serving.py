"""Small servers on free loopback ports, for clients to talk to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp


def _listening() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@contextmanager
def served(
    app: ASGIApp, *, certificate: str | None = None, key: str | None = None
) -> Iterator[str]:
    """The URL of an app that answers until the block ends.

    The socket listens before the server runs, so the first call waits in its queue.
    """
    with _listening() as listener:
        config = uvicorn.Config(
            app,
            log_level="critical",
            ws="none",
            lifespan="off",
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        scheme = "https" if certificate else "http"
        try:
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def talking(say: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that hands its first connection to `say` and then hangs up."""

    def run() -> None:
        with listener.accept()[0] as connection:
            say(connection)

    with _listening() as listener:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def free_url() -> str:
    """A URL at which nothing listens."""
    with _listening() as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"
