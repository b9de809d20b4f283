"""Reading a request's body within bounds of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from dizuo.agent.errors import BodyOverdue
from dizuo.core.errors import InvalidInput, TooLarge

BODY_SECONDS = 60.0
"""How long a request body may take to arrive: it has one of the engine's places meanwhile."""


async def read_body(request: Request, bytes_at_most: int) -> bytes:
    """The body of a request.

    Raises:
        TooLarge, BodyOverdue: it breaks a bound.
        InvalidInput: it is compressed.
    """
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > bytes_at_most:
        raise _too_large(bytes_at_most)
    if "content-encoding" in request.headers:
        raise InvalidInput(
            "Compressed request bodies are not accepted.",
            next_step="Send the JSON without Content-Encoding.",
        )
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(request, bytes_at_most)
    except TimeoutError as error:
        raise BodyOverdue(
            f"The request body did not arrive within {BODY_SECONDS:.0f} seconds.",
            next_step="Send fewer rows at a time.",
        ) from error


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than the {limit} bytes accepted here.",
        next_step="Send fewer rows at a time.",
    )
