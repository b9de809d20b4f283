"""Who leaves before the answer is done ends it in the engine: a real process that counts for ever,
for one caller at a time, until it is told that nobody listens."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import httpx2
import pytest
from tests.agent.counting import NAME, PATH, body, counting, listening, posted, until


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
