"""One engine kept alive: real processes, counted requests, crashes, drains."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.agent.agent_process import request
from tests.agent.stacks import FAMILY, TARGET, build, build_base

from dizuo.agent.engine_host import EngineHost, EngineLimits
from dizuo.agent.engine_link import EngineLink, relayed
from dizuo.agent.engine_process import EnginePlan, parse_plan, parse_request
from dizuo.agent.errors import EngineBusy, EngineFailed, EngineGone, EngineOverdue
from dizuo.agent.frames import Frame, error_header
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.stacks import unpack
from dizuo.core.errors import DizuoError, InvalidInput, TooLarge, Unavailable
from dizuo.families.errors import LayerRefused, UnknownStack

Body = Callable[[EngineHost], Awaitable[None]]
LIMITS = EngineLimits(start_seconds=20, answer_seconds=10, requests_in_flight=4)


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., EnginePlan]:
    """A plan of an engine with one stack, `meter`, of the given traits."""
    layout = Layout(tmp_path / "layout")
    base = build_base(layout, tmp_path / "work")

    def make(**layer: Any) -> EnginePlan:
        built = build(layout, tmp_path / "work", base, **layer)
        files = unpack(layout, built.digest, TARGET, tmp_path / "unpacked")
        return EnginePlan(FAMILY, 1, {"meter": files})

    return make


@pytest.fixture
def new_children() -> Callable[[], list[int]]:
    """The ids of the processes that the test has started and that are still there."""
    before = set(psutil.Process().children())  # other tests of this process may have some
    return lambda: [one.pid for one in psutil.Process().children() if one not in before]


@asynccontextmanager
async def running(
    plan: EnginePlan, tmp_path: Path, limits: EngineLimits = LIMITS
) -> AsyncIterator[EngineHost]:
    host = EngineHost(plan, tmp_path / "engine.log", limits, asyncio.Event())
    await host.start()
    try:
        yield host
    finally:
        await host.stop(5)


def body(*values: float) -> bytes:
    return json.dumps(request(*values)).encode()


async def side(host: EngineHost, value: float) -> str:
    answer = await host.infer("meter", body(value))
    found: str = json.loads(answer.body)["outputs"][0]["data"][0]
    return found


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.01)


def test_a_plan_survives_its_json_form(plan: Callable[..., EnginePlan]) -> None:
    made = plan()
    assert parse_plan(json.loads(json.dumps(made.as_dict()))) == made


def test_it_answers_many_at_once_and_each_its_own(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> None:
        limits = replace(LIMITS, requests_in_flight=100)
        async with running(plan(), tmp_path, limits) as host:
            values = [float(v) for v in range(-40, 40)]
            sides = await asyncio.gather(*(side(host, value) for value in values))
            assert sides == ["low" if value < 0 else "high" for value in values]
            assert (host.num_answers, host.num_errors, host.num_in_flight) == (80, 0, 0)
            assert host.memory_bytes() > 1_000_000
            assert host.described["meter"]["platform"] == "scales"
        assert not host.alive
        assert host.memory_bytes() == 0

    asyncio.run(scenario())


def test_an_engine_gets_as_many_calls_at_once_as_it_says(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> None:
        limits = replace(LIMITS, requests_in_flight=9)
        async with running(plan(gathers=9), tmp_path, limits) as host:
            assert await asyncio.gather(*(side(host, 1) for _ in range(9))) == ["high"] * 9

    asyncio.run(scenario())


def test_observations_come_back_as_they_were(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(plan(), tmp_path) as host:
            (seen,) = (await host.infer("meter", body(1.5))).observations
            assert seen.answer == "high"
            assert seen.confidence == pytest.approx(0.880797, abs=1e-6)
            assert (seen.confidence_percentile, seen.novelty_percentile) == (0.2, 0.015)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("nobody", b"{}", UnknownStack),
        ("meter", b"not JSON", InvalidInput),
        ("meter", b"{}", InvalidInput),
        ("meter", body(7.0), EngineFailed),
    ],
)
def test_errors_keep_their_class(
    plan: Callable[..., EnginePlan],
    tmp_path: Path,
    name: str,
    content: bytes,
    error: type[DizuoError],
) -> None:
    async def scenario() -> None:
        async with running(plan(stumbles_at=7.0), tmp_path) as host:
            with pytest.raises(error):
                await host.infer(name, content)
            assert await side(host, 1.0) == "high"
            assert host.num_errors == (1 if error is EngineFailed else 0)

    asyncio.run(scenario())
    if error is EngineFailed:
        assert "ZeroDivisionError" in (tmp_path / "engine.log").read_text()


def test_a_crash_is_counted_and_another_process_comes(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(plan(seconds=0.5), tmp_path) as host:
            first = host.pid
            assert first is not None
            in_flight = asyncio.create_task(side(host, 1.0))
            await asyncio.sleep(0)
            os.kill(first, signal.SIGKILL)
            with pytest.raises(EngineGone):
                await in_flight
            await until(lambda: not host.alive)
            with pytest.raises(EngineGone):
                await host.infer("meter", body(1.0))
            await until(lambda: host.alive)
            assert host.pid != first
            assert host.num_crashes == 1
            assert await side(host, 1.0) == "high"

    asyncio.run(scenario())


def test_an_engine_that_cannot_come_back_is_tried_again(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> None:
        made = plan()
        file = made.stacks["meter"].base.directory / "base.json"
        async with running(made, tmp_path) as host:
            assert host.pid is not None
            file.rename(tmp_path / "aside")
            os.kill(host.pid, signal.SIGKILL)
            await until(lambda: "No such file" in (tmp_path / "engine.log").read_text())
            assert not host.alive
            (tmp_path / "aside").rename(file)
            await until(lambda: host.alive)
            assert await side(host, 1.0) == "high"

    asyncio.run(scenario())


def test_an_engine_that_comes_back_oddly_is_tried_again(
    plan: Callable[..., EnginePlan],
    tmp_path: Path,
    new_children: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    call, odd = EngineLink.call, [Frame({"what": "is this"})]

    async def say_oddly(link: EngineLink, header: dict[str, Any], *more: Any) -> Frame:
        reply = await call(link, header, *more)
        return odd.pop() if odd and header["call"] == "open" else reply

    async def scenario() -> None:
        async with running(plan(), tmp_path) as host:
            assert host.pid is not None
            monkeypatch.setattr(EngineLink, "call", say_oddly)
            os.kill(host.pid, signal.SIGKILL)
            await until(lambda: not odd and host.alive)
            assert await side(host, 1.0) == "high"
            assert new_children() == [host.pid]

    asyncio.run(scenario())
    assert any("nobody foresaw" in record.message for record in caplog.records)


@pytest.mark.parametrize("said", [Frame({"id": ["no", "number"]}).encode(), b"\xff" * 8])
def test_a_process_that_does_not_speak_as_an_engine_is_ended(said: bytes) -> None:
    async def scenario() -> int:
        ours, theirs = socket.socketpair()
        process = await asyncio.create_subprocess_exec("sleep", "60")
        reader, writer = await asyncio.open_connection(sock=ours)
        link = EngineLink(process, reader, writer)
        asking = asyncio.create_task(link.call({"call": "infer", "stack": "meter"}))
        with theirs:
            theirs.sendall(said)
            with pytest.raises(EngineGone):
                await asking
            return await link.close()

    assert asyncio.run(scenario()) == -signal.SIGKILL


def test_an_engine_that_hangs_is_replaced(plan: Callable[..., EnginePlan], tmp_path: Path) -> None:
    async def scenario() -> None:
        limits = replace(LIMITS, answer_seconds=0.3)
        async with running(plan(), tmp_path, limits) as host:
            first = host.pid
            assert first is not None
            os.kill(first, signal.SIGSTOP)
            with pytest.raises(EngineOverdue):
                await host.infer("meter", body(1.0))
            await until(lambda: host.alive and host.pid != first)
            assert (host.num_errors, host.num_crashes) == (1, 1)

    asyncio.run(scenario())


def test_more_than_its_limit_is_turned_away(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(plan(seconds=0.2), tmp_path) as host:
            asking = [asyncio.create_task(side(host, 1.0)) for _ in range(4)]
            await asyncio.sleep(0)
            assert host.num_in_flight == 4
            with pytest.raises(EngineBusy):
                await host.infer("meter", body(1.0))
            assert await asyncio.gather(*asking) == ["high"] * 4
            assert host.num_in_flight == 0

    asyncio.run(scenario())


def test_stopping_waits_for_what_is_in_flight(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(plan(seconds=0.3), tmp_path) as host:
            asking = asyncio.create_task(side(host, 1.0))
            await asyncio.sleep(0)
            assert await host.stop(10)
            assert await asking == "high"

    asyncio.run(scenario())


def test_but_not_for_ever(plan: Callable[..., EnginePlan], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(plan(seconds=30), tmp_path) as host:
            pid = host.pid
            assert pid is not None
            asking = asyncio.create_task(side(host, 1.0))
            await asyncio.sleep(0)
            assert not await host.stop(0.1)
            with pytest.raises(EngineGone):
                await asking
            assert not psutil.pid_exists(pid)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("trait", "error"),
    [
        ({"misfit": True, "golden": "missing"}, LayerRefused),
        ({"aborts_on_open": True}, EngineFailed),
    ],
)
def test_a_start_that_fails_leaves_no_process(
    plan: Callable[..., EnginePlan],
    tmp_path: Path,
    new_children: Callable[[], list[int]],
    trait: dict[str, Any],
    error: type[Exception],
) -> None:
    made = plan(**trait)

    async def scenario() -> None:
        host = EngineHost(made, tmp_path / "engine.log", LIMITS, asyncio.Event())
        with pytest.raises(error):
            await host.start()
        assert host.pid is None

    asyncio.run(scenario())
    assert new_children() == []


def test_a_start_that_takes_too_long_is_ended(
    plan: Callable[..., EnginePlan], tmp_path: Path, new_children: Callable[[], list[int]]
) -> None:
    async def scenario() -> None:
        limits = replace(LIMITS, start_seconds=0.001)
        host = EngineHost(plan(), tmp_path / "engine.log", limits, asyncio.Event())
        with pytest.raises(EngineFailed, match="meter did not start"):
            await host.start()

    asyncio.run(scenario())
    assert new_children() == []


def test_an_engine_ends_when_its_agent_does(
    plan: Callable[..., EnginePlan], tmp_path: Path
) -> None:
    async def scenario() -> int:
        link = await EngineLink.spawn(tmp_path / "engine.log")
        await link.call({"call": "open", "plan": plan(seconds=60).as_dict()})
        asking = asyncio.create_task(link.call({"call": "infer", "stack": "meter"}, body(1.0)))
        await asyncio.sleep(0.05)
        status = await link.close()  # as the kernel does it for an agent that was killed
        with pytest.raises(EngineGone):
            await asking
        with pytest.raises(EngineGone):
            await link.call({"call": "infer", "stack": "meter"}, body(1.0))
        return status

    assert asyncio.run(scenario()) == 0  # by itself, with a worker busy for another minute


@pytest.mark.parametrize("cls", [TooLarge, UnknownStack, LayerRefused, EngineFailed, Unavailable])
def test_a_relayed_error_is_of_its_own_class(cls: type[DizuoError]) -> None:
    error = relayed(error_header(cls("What.", next_step="Then.")))
    assert type(error) is cls
    assert (error.message, error.next_step) == ("What.", "Then.")


@pytest.mark.parametrize(("status", "cls"), [(400, InvalidInput), (422, LayerRefused)])
def test_a_code_that_is_not_known_here_promises_least(status: int, cls: type[DizuoError]) -> None:
    header = error_header(InvalidInput("What."))
    header["error"]["code"] = "of_some_other_family"
    assert type(relayed({**header, "http_status": status})) is cls


def test_a_request_is_a_json_object() -> None:
    assert parse_request(b'{"inputs": []}', "open-inference") == {"inputs": []}
    for wrong in (b"", b"[]", b"1", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(InvalidInput, match="Open Inference Protocol"):
            parse_request(wrong, "open-inference")
    for half in (b'{"a": "\\ud83d"}', b'{"\\udc00": 1}'):
        with pytest.raises(InvalidInput, match="half a character"):
            parse_request(half, "openai")
    assert parse_request(b'{"a": "\\ud83d\\ude00"}', "openai") == {"a": "\U0001f600"}
