"""A prompt that takes long to read: the engine shows that it lives, and hears who leaves."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.families.text.slow_reader import LONG, slow_reader

from dizuo.agent.engine_host import EngineHost, EngineLimits
from dizuo.agent.engine_process import EnginePlan
from dizuo.artifacts.model import StackFiles
from dizuo.families.text.footprint import engine_bytes
from dizuo.families.text.runtime import open_engine

LIMITS = EngineLimits(start_seconds=60, answer_seconds=2)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> StackFiles:
    return slow_reader(tmp_path_factory.mktemp("reading") / "slow")


def test_an_engine_is_not_overdue_while_it_reads(stack: StackFiles, tmp_path: Path) -> None:
    async def scenario() -> tuple[dict[str, Any], float]:
        plan = EnginePlan("text", 1, {"slow": stack})
        host = EngineHost(plan, tmp_path / "engine.log", LIMITS, asyncio.Event())
        await host.start()
        try:
            began = time.monotonic()
            answer = await host.infer("slow", json.dumps(LONG).encode())
            assert (host.num_answers, host.num_errors, host.num_crashes) == (1, 0, 0)
            files = (one for one in stack.base.directory.iterdir() if one.is_file())
            told = engine_bytes(plan.stacks, file_bytes=sum(one.stat().st_size for one in files))
            assert host.memory_bytes() < told < 2.5 * host.memory_bytes()
            return json.loads(answer.body), time.monotonic() - began
        finally:
            await host.stop(0)

    answer, seconds = asyncio.run(scenario())
    assert answer["usage"]["prompt_tokens"] > 1500
    assert answer["usage"]["completion_tokens"] == 2
    assert seconds > LIMITS.answer_seconds, "the prompt was read before anything was overdue"


def test_who_leaves_while_the_prompt_is_read_ends_the_answer(stack: StackFiles) -> None:
    engine = open_engine({"slow": stack}, threads=1)
    told: list[str] = []

    def leave(_chunk: Mapping[str, Any] | None) -> bool:
        """Leaves between two words of llama.cpp."""
        told.append(threading.current_thread().name)
        return told[-1] != "pulse"

    answer = engine.stream("slow", {**LONG, "max_tokens": 64}, leave)
    engine.close()
    assert answer.response["usage"]["completion_tokens"] == 0
    assert told.count("pulse") == 1
    assert told[-1] == "pulse"
