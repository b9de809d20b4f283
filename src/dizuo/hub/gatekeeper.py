"""What every request to `/api/v1` meets before its body is read: who is it, and is it small enough.

Frameworks read a body before they ask who sent it. Here a stranger's body is not read at all, and
an operator's is counted while it arrives. Uploads count their own bytes on the way to disk; agents'
bodies are bounded where they are taken in (`dizuo.sites.edge_api`).
"""

from __future__ import annotations

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dizuo.access import service as access
from dizuo.access.http import answer, database_of, secret_of
from dizuo.access.model import Surface
from dizuo.core.errors import DizuoError

MAX_BODY_BYTES = 4 * 1024 * 1024
"""A recipe has at most a million characters; nothing else comes near."""
PREFIX = "/api/v1/"
OPEN_PATHS = frozenset({"/api/v1/health", "/api/v1/docs", "/api/v1/openapi.json"})
"""Answered without a credential: that the hub lives, and what it can be asked."""
_UPLOADS = "/api/v1/uploads"


class Gatekeeper:
    """ASGI middleware that answers 401 and 413 itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            if scope["path"] not in OPEN_PATHS:
                try:
                    await run_in_threadpool(_recognise, Request(scope))
                except DizuoError as error:
                    await answer(error)(scope, receive, send)
                    return
            if scope["path"] != _UPLOADS:
                receive = _bounded(receive)
        await self._app(scope, receive, send)


def _recognise(request: Request) -> None:
    secret = secret_of(request.headers.get("authorization", ""))
    with database_of(request).reading() as session:
        access.recognise(session, secret, Surface.API)


def _bounded(receive: Receive) -> Receive:
    left = MAX_BODY_BYTES

    async def counting() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            # The framework lets only its own exception through while it reads a body.
            raise HTTPException(413, f"the request is larger than {MAX_BODY_BYTES} bytes")
        return message

    return counting
