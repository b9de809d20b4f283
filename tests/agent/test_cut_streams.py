"""An engine that is killed in the middle of a stream: who listens is told so, and the next caller
is answered by a new one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx2
import openai
import pytest
from tests.agent.counting import NAME, PATH, body, counting, listening, until

from dizuo.agent.engine_host import EngineHost


def kill(host: EngineHost) -> int:
    """SIGKILL for the engine; which process it was."""
    assert host.pid is not None
    pid = host.pid
    os.kill(pid, signal.SIGKILL)
    return pid


def test_who_listens_is_told_and_the_next_caller_is_answered_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            counting(tmp_path) as host,
            listening(host, tmp_path) as port,
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            async with client.stream("POST", PATH, content=body(stream=True)) as response:
                lines = aiter(response.aiter_lines())
                while await anext(lines) != 'data: {"count":3}':
                    pass
                killed = kill(host)
                *_, failed, done = [line async for line in lines if line]
            assert response.status_code == 200  # it was said before the answer began
            error = json.loads(failed.removeprefix("data: "))["error"]
            assert (error["code"], error["type"]) == ("engine_restarting", "server_error")
            assert error["next_step"] == "Try again in a moment."
            assert done == "data: [DONE]"
            assert (host.num_in_flight, host.num_answers) == (0, 0)
            await until(lambda: host.alive)
            answer = await client.post(PATH, content=body(up_to=3))
            assert (answer.status_code, answer.json()["counted"]) == (200, 3)
            assert host.pid != killed
            assert host.num_crashes == 1

    asyncio.run(scenario())


def test_openais_client_raises_what_the_stream_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            counting(tmp_path) as host,
            listening(host, tmp_path) as port,
            openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client,
        ):
            stream = await client.chat.completions.create(model=NAME, messages=[], stream=True)
            await anext(stream)
            kill(host)
            with pytest.raises(openai.APIError, match="is being started again") as raised:
                async for _chunk in stream:
                    pass
            assert raised.value.code == "engine_restarting"
            await until(lambda: host.alive)

    asyncio.run(scenario())
