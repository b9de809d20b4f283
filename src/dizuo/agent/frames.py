"""The wire between the agent and an engine process.

A frame is two big-endian 32-bit lengths, a JSON header of the first length, and a body of bytes of
the second. Every call has a number (`id`); replies carry the same number, so many calls share one
socket, and a call may get several replies (each but the last has `"more": true`): the chunks of an
answer that is streamed, or with an empty body a sign of life. Bodies travel as they are: the agent
never parses a request that it only passes on.
"""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from dizuo.agent.errors import EngineProtocolBroken
from dizuo.core.errors import DizuoError

MAX_HEADER_BYTES = 64_000_000
MAX_BODY_BYTES = 1_100_000_000
_LENGTHS = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: a JSON object and bytes."""

    header: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the wire."""
        header = json.dumps(self.header, separators=(",", ":")).encode()
        return b"".join((_LENGTHS.pack(len(header), len(self.body)), header, self.body))


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame of a blocking stream; None where the stream ends, even inside a frame.

    Raises:
        EngineProtocolBroken: the bytes are not a frame.
    """
    prefix = stream.read(_LENGTHS.size)
    if len(prefix) < _LENGTHS.size:
        return None
    header_bytes, body_bytes = _lengths(prefix)
    rest = stream.read(header_bytes + body_bytes)
    if len(rest) < header_bytes + body_bytes:
        return None
    return _decode(rest, header_bytes)


async def receive_frame(stream: asyncio.StreamReader) -> Frame | None:
    """As `read_frame`, from an asyncio stream."""
    try:
        prefix = await stream.readexactly(_LENGTHS.size)
        header_bytes, body_bytes = _lengths(prefix)
        rest = await stream.readexactly(header_bytes + body_bytes)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return _decode(rest, header_bytes)


def _lengths(prefix: bytes) -> tuple[int, int]:
    header_bytes, body_bytes = _LENGTHS.unpack(prefix)
    if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise EngineProtocolBroken("An engine message is longer than any may be.")
    return header_bytes, body_bytes


def _decode(rest: bytes, header_bytes: int) -> Frame:
    try:
        header = json.loads(rest[:header_bytes])
    except (ValueError, RecursionError) as error:
        raise EngineProtocolBroken("The header of an engine message is not JSON.") from error
    if not isinstance(header, dict):
        raise EngineProtocolBroken("The header of an engine message is not an object.")
    return Frame(header, rest[header_bytes:])


def error_header(error: DizuoError) -> dict[str, Any]:
    """An error as a reply's header carries it."""
    return {**error.as_dict(), "http_status": error.http_status}
