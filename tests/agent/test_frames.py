"""The wire between agent and engine: whole frames or nothing."""

from __future__ import annotations

import asyncio
import io
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.agent.errors import EngineProtocolBroken
from dizuo.agent.frames import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    Frame,
    error_header,
    read_frame,
    receive_frame,
)
from dizuo.core.errors import TooLarge

FRAMES = st.builds(
    Frame,
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()),
    st.binary(),
)


async def received(data: bytes) -> list[Frame]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while (frame := await receive_frame(reader)) is not None:
        found.append(frame)
    return found


@given(st.lists(FRAMES, max_size=4))
def test_what_is_sent_arrives(frames: list[Frame]) -> None:
    data = b"".join(frame.encode() for frame in frames)
    stream = io.BytesIO(data)
    assert [read_frame(stream) for _ in frames] == frames
    assert read_frame(stream) is None
    assert asyncio.run(received(data)) == frames


@given(FRAMES, st.data())
def test_a_cut_frame_is_no_frame(frame: Frame, data: st.DataObject) -> None:
    whole = frame.encode()
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert read_frame(io.BytesIO(part)) is None
    assert asyncio.run(received(part)) == []


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", MAX_HEADER_BYTES + 1, 0),
        struct.pack(">II", 2, MAX_BODY_BYTES + 1),
        struct.pack(">II", 3, 0) + b"not",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 1, 0) + b"\xff",
        struct.pack(">II", 100_000, 0) + b"[" * 100_000,
    ],
)
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(EngineProtocolBroken):
        read_frame(io.BytesIO(data))
    with pytest.raises(EngineProtocolBroken):
        asyncio.run(received(data))


def test_an_error_travels_whole() -> None:
    header = error_header(TooLarge("Too many rows.", next_step="Send fewer."))
    assert json.loads(json.dumps(header)) == {
        "error": {
            "code": "too_large",
            "message": "Too many rows.",
            "next_step": "Send fewer.",
            "retryable": False,
        },
        "http_status": 413,
    }
