"""How large a request may be, where its route sets no bound of its own."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dizuo.core.errors import TooLarge

MAX_BODY_BYTES = 4 * 2**20
"""The largest body that means anything is a recipe of 256 KiB."""
OWN_BOUNDS = ("/api/v1/uploads", "/edge/v1/")
"""Addresses that count for themselves: they take more, or tell agents so in their own words."""


class BodyLimit:
    """ASGI middleware: refuse a body of more than `MAX_BODY_BYTES`, at once where it is announced,
    else as soon as it has become too large."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, or pass the request on."""
        if scope["type"] != "http" or scope["path"].startswith(OWN_BOUNDS):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
            refused = TooLarge(
                f"A request may have at most {MAX_BODY_BYTES:,} bytes here.",
                next_step="Send files with PUT /api/v1/uploads.",
            )
            await JSONResponse(refused.as_dict(), refused.http_status)(scope, receive, send)
            return
        await self._app(scope, _counted(receive), send)


def _counted(receive: Receive) -> Receive:
    num_bytes = 0

    async def receive_some() -> Message:
        nonlocal num_bytes
        message = await receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > MAX_BODY_BYTES:
            # The one kind of error that FastAPI lets through while it reads a body.
            raise HTTPException(413, f"a request may have at most {MAX_BODY_BYTES:,} bytes here")
        return message

    return receive_some
