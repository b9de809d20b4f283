"""Logs are bounded, and keep what came last."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.agent.test_outbox import sample

from dizuo.agent import runner
from dizuo.agent.egress_log import EgressLog
from dizuo.agent.home import AgentHome
from dizuo.agent.log_files import older, rotate, rotate_open
from dizuo.agent.outbox import Leaving
from dizuo.agent.runner import tend


def test_a_log_that_is_not_there_or_not_full_stays(tmp_path: Path) -> None:
    path = tmp_path / "some.log"
    for turn in (rotate, rotate_open):
        turn(path, 10)
        assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"x" * 10)
    for turn in (rotate, rotate_open):
        turn(path, 10)
        assert path.read_bytes() == b"x" * 10
        assert not older(path).exists()


def test_the_egress_log_keeps_one_older_file(tmp_path: Path) -> None:
    path = tmp_path / "egress.jsonl"
    log = EgressLog(path, lambda: 5, bytes_at_most=1000)
    digests = [sample(number).digest for number in range(50)]
    for number in range(50):
        log.allowed([Leaving(sample(number), b"x", "It may.")])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["egress.jsonl", "egress.jsonl.1"]
    lines = (older(path).read_text() + path.read_text()).splitlines()
    assert [json.loads(line)["digest"] for line in lines] == digests[-len(lines) :]
    assert all(one.stat().st_size < 1500 for one in tmp_path.iterdir())
    assert all(one.stat().st_mode & 0o077 == 0 for one in tmp_path.iterdir())


def test_a_full_log_is_emptied_under_a_process_that_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = AgentHome(tmp_path)
    monkeypatch.setattr(runner, "LOG_BYTES_AT_MOST", 10)

    async def scenario() -> None:
        tending = asyncio.create_task(tend(home, every_seconds=0.01))
        with home.engine_log.open("ab", buffering=0) as engine:
            engine.write(b"the first lines\n")
            async with asyncio.timeout(20):
                while home.engine_log.stat().st_size:
                    await asyncio.sleep(0.005)
            engine.write(b"more\n")
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)

    asyncio.run(scenario())
    assert older(home.engine_log).read_bytes() == b"the first lines\n"
    assert home.engine_log.read_bytes() == b"more\n"


def test_a_log_that_cannot_be_shortened_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = AgentHome(tmp_path)
    home.engine_log.write_bytes(b"x" * 11)
    older(home.engine_log).mkdir()
    monkeypatch.setattr(runner, "LOG_BYTES_AT_MOST", 10)

    async def scenario() -> None:
        tending = asyncio.create_task(tend(home, every_seconds=0.01))
        async with asyncio.timeout(20):
            while len(caplog.records) < 2:
                assert not tending.done()
                await asyncio.sleep(0.005)
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)

    asyncio.run(scenario())
    assert "cannot be shortened" in caplog.text
