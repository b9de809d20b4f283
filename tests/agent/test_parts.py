"""The small parts: the folder's files, back-off, memory, probes, threads."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.agent import state as state_module
from dizuo.agent.engine_process import EnginePlan
from dizuo.agent.errors import HomeDamaged, NotJoined, NotServing, ProbeFailed
from dizuo.agent.generations import Generation, StagedFile, StagedStack
from dizuo.agent.home import Active, AgentHome, Enrolment
from dizuo.agent.memory import MemoryRules, estimate_bytes, fits_beside
from dizuo.agent.probe import ProbeRules, judge, judge_memory
from dizuo.agent.slots import Slots
from dizuo.agent.state import SiteState
from dizuo.agent.sync import STUBBORN_FACTOR, Backoff, same
from dizuo.agent.threads import in_thread
from dizuo.agent.updater import as_told
from dizuo.artifacts.model import StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import TooLarge
from dizuo.core.files import write_json
from dizuo.core.transitions import TransitionRefused
from dizuo.edge.wire import CheckIn, DesiredState, Direction
from dizuo.families.golden import Probe
from dizuo.families.vision.footprint import engine_bytes


def direction(name: str) -> Direction:
    return Direction(
        served_as=name,
        name=name,
        version=1,
        digest=sha256_bytes(name.encode()),
        family="scales",
        target="plain",
    )


# The folder


def test_files_of_the_folder_come_back_as_they_were(tmp_path: Path) -> None:
    home = AgentHome(tmp_path)
    assert home.read_active() == Active()
    active = Active(generation=3, previous=2, bytes_first_install=7, bytes_last_update=1)
    home.write_active(active)
    assert home.read_active() == active
    with pytest.raises(NotJoined):
        home.read_enrolment()
    enrolment = Enrolment("http://hub", "id", "site3", "default", "edge", "registry")
    home.write_enrolment(enrolment)
    assert home.read_enrolment() == enrolment


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "extra": 1}']
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    home = AgentHome(tmp_path)
    home.active_file.write_bytes(content)
    with pytest.raises(HomeDamaged, match=r"active\.json cannot be read"):
        home.read_active()


def test_in_use_tells_without_taking(tmp_path: Path) -> None:
    home = AgentHome(tmp_path / "agent")
    assert not home.is_in_use()
    with home.locked():
        assert home.is_in_use()
    assert not home.is_in_use()


# Back-off


def test_waits_double_up_to_a_bound_and_only_for_the_same_generation() -> None:
    backoff = Backoff(1.0, 5.0)
    assert backoff.wait_seconds(1, 100.0) == 0
    waits = []
    for _ in range(5):
        backoff.failed(1, 100.0, may_pass=True)
        waits.append(backoff.wait_seconds(1, 100.0))
    assert waits == [1, 2, 4, 5, 5]
    assert backoff.wait_seconds(1, 104.0) == 1
    assert backoff.wait_seconds(2, 100.0) == 0
    backoff.failed(2, 100.0, may_pass=True)
    assert backoff.wait_seconds(2, 100.0) == 1


def test_what_will_not_pass_by_itself_waits_longer() -> None:
    backoff = Backoff(1.0, 1000.0)
    backoff.failed(1, 0.0, may_pass=False)
    assert backoff.wait_seconds(1, 0.0) == STUBBORN_FACTOR
    backoff.relent()
    assert backoff.wait_seconds(1, 0.0) == STUBBORN_FACTOR
    backoff.failed(1, 0.0, may_pass=True)
    backoff.relent()
    assert backoff.wait_seconds(1, 0.0) == 0


@given(st.lists(st.booleans(), max_size=200), st.floats(0.1, 10), st.floats(10, 900))
def test_waits_are_never_out_of_bounds(outcomes: list[bool], first: float, most: float) -> None:
    backoff = Backoff(first, most)
    for may_pass in outcomes:
        backoff.failed(1, 0.0, may_pass=may_pass)
        assert min(first, most) <= backoff.wait_seconds(1, 0.0) <= most


def test_the_order_of_a_set_means_nothing() -> None:
    one, two = direction("one"), direction("two")
    first = DesiredState(generation=1, stacks=(one, two))
    assert same(first, DesiredState(generation=1, stacks=(two, one)))
    assert not same(first, DesiredState(generation=2, stacks=(one, two)))
    assert not same(first, DesiredState(generation=1, stacks=(one,)))


# State


def test_each_transition_is_on_disk_and_on_the_wire(tmp_path: Path) -> None:
    home = AgentHome(tmp_path)
    state = SiteState(home, lambda: 5, "raw")
    for rule, step, wire in [
        ("verify", "verifying", "updating"),
        ("fetch", "fetching", "updating"),
        ("stage", "staging", "updating"),
        ("probe", "probing", "updating"),
        ("switch", "switching", "updating"),
        ("serve", "serving", "serving"),
        ("fall_back", "fallen_back", "fallen_back"),
    ]:
        asyncio.run(state.apply(rule, note=f"now {step}"))
        written = json.loads(home.status_file.read_bytes())
        assert (written["step"], written["state"]) == (step, wire)
        assert written["note"] == f"now {step}"
        assert state.check_in().state == wire
    with pytest.raises(TransitionRefused):
        asyncio.run(state.apply("stage"))


def test_the_longest_error_still_fits_a_check_in(tmp_path: Path) -> None:
    state = SiteState(AgentHome(tmp_path), lambda: 5, "none")
    state.fail(3, "fetching", TooLarge("x" * 5000))
    assert CheckIn.model_validate_json(state.check_in().model_dump_json()).error == state.error


def test_a_folder_that_cannot_be_written_does_not_stop_a_transition(tmp_path: Path) -> None:
    home = AgentHome(tmp_path / "file")
    state = SiteState(home, lambda: 5, "none")
    home.root.write_bytes(b"")
    asyncio.run(state.apply("verify"))
    assert state.state == "verifying"


def test_a_slow_disk_holds_up_the_step_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), threading.Event()

    def slow(path: Path, value: Any) -> None:
        begun.set()
        assert gate.wait(10)
        write_json(path, value)

    async def scenario() -> None:
        state = SiteState(AgentHome(tmp_path), lambda: 5, "none")
        step = asyncio.create_task(state.apply("verify"))
        while not begun.is_set():
            await asyncio.sleep(0.001)  # the loop turns
        assert not step.done()
        gate.set()
        await step
        assert json.loads(state_file.read_bytes())["step"] == "verifying"

    state_file = AgentHome(tmp_path).status_file
    monkeypatch.setattr(state_module, "write_json", slow)
    asyncio.run(scenario())


def test_an_older_state_never_replaces_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, late = threading.Event(), threading.Event()
    written: list[str] = []

    def write(_path: Path, value: dict[str, Any]) -> None:
        if not written:
            late.set()
            assert gate.wait(10)
        written.append(value["step"])

    async def scenario() -> None:
        state = SiteState(AgentHome(tmp_path), lambda: 5, "none")
        first = asyncio.create_task(state.apply("verify"))
        while not late.is_set():
            await asyncio.sleep(0.001)
        second = asyncio.create_task(state.apply("fetch"))
        third = asyncio.create_task(state.apply("stage"))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        await asyncio.gather(second, third)

    monkeypatch.setattr(state_module, "write_json", write)
    asyncio.run(scenario())
    assert written[0] == "verifying"
    assert written[-1] == "staging"
    assert written == sorted(written, key=["verifying", "fetching", "staging"].index)


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"format": 1}'])
def test_bytes_fetched_are_counted_over_attempts(tmp_path: Path, content: bytes | None) -> None:
    home = AgentHome(tmp_path)
    if content is not None:
        (tmp_path / "fetched.json").write_bytes(content)
    assert home.fetched(3).read() == 0
    home.fetched(3).add(70)
    home.fetched(3).add(0)
    AgentHome(tmp_path).fetched(3).add(7)
    assert home.fetched(3).read() == 77
    assert home.fetched(4).read() == 0
    home.fetched(4).add(1)
    assert (home.fetched(3).read(), home.fetched(4).read()) == (0, 1)


# Slots


def test_nothing_is_served_before_the_first_generation() -> None:
    slots = Slots()
    assert not slots.ready
    with pytest.raises(NotServing):
        slots.route("meter")


# Memory


class Weighed:
    """What `fits_beside` asks of a fleet."""

    def __init__(self, num_bytes: int) -> None:
        self._num_bytes = num_bytes

    def memory_bytes(self) -> int:
        return self._num_bytes


NOTHING = Weighed(0)
PROCESS_BYTES = engine_bytes({}, file_bytes=0)


def staged(name: str, base: str, files: dict[str, int], family: str = "vision") -> StagedStack:
    """A stack on a base, with files of the given contents and sizes."""
    chosen = direction(name).model_copy(update={"family": family})
    return StagedStack(
        chosen,
        base,
        StackFiles(name, 1, chosen.digest, "plain", ()),
        tuple(StagedFile(f"{name}/{one}", one, size) for one, size in files.items()),
    )


def generation_of(*stacks: StagedStack) -> Generation:
    return Generation(1, Path("nowhere"), stacks)


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_a_limit_holds_both_generations(spare: int, fits: bool) -> None:
    new = generation_of(staged("a", "base", {"weights": 1000}))
    rules = MemoryRules(engines_at_most=700 + PROCESS_BYTES + 1500 + spare)
    assert fits_beside(Weighed(700), new, rules) is fits  # type: ignore[arg-type]


def test_without_a_limit_the_machine_is_asked() -> None:
    new = generation_of(staged("a", "base", {"weights": 1}))
    assert fits_beside(NOTHING, new, MemoryRules(reserve=0))  # type: ignore[arg-type]
    assert not fits_beside(NOTHING, new, MemoryRules(reserve=1 << 60))  # type: ignore[arg-type]


def test_stacks_on_one_base_take_one_engine_that_holds_each_file_once() -> None:
    first = staged("a", "base", {"weights": 1000, "one": 10})
    second = staged("b", "base", {"weights": 1000, "two": 20})
    other = staged("c", "other", {"more": 4000})
    together = estimate_bytes(generation_of(first, second))
    assert together == PROCESS_BYTES + 1545
    assert estimate_bytes(generation_of(first, second, other)) == together + PROCESS_BYTES + 6000
    assert estimate_bytes(generation_of()) == 0


def test_each_family_says_what_its_engines_take() -> None:
    scales = staged("a", "base", {"weights": 1000}, family="scales")
    assert estimate_bytes(generation_of(scales)) == 120_001_000


# Probes


@pytest.mark.parametrize(
    ("num_agree", "p95_ms", "says"),
    [
        (9, 100.0, ""),
        (10, 99.9, ""),
        (8, 10.0, "8 of 10 golden rows as expected; at least 90% must"),
        (10, 100.1, "took 100 ms"),
    ],
)
def test_a_probe_is_held_against_its_rules(num_agree: int, p95_ms: float, says: str) -> None:
    rules = ProbeRules(agreement_at_least=0.9, p95_ms_at_most=100.0)
    measured = Probe(10, num_agree, p95_ms)
    if not says:
        judge("meter", measured, rules)
        return
    with pytest.raises(ProbeFailed, match=says):
        judge("meter", measured, rules)


class Host:
    """An engine that takes 2,000 bytes."""

    plan = EnginePlan("scales", 1, {})

    def memory_bytes(self) -> int:
        return 2000


@pytest.mark.parametrize(("limit", "fits"), [(0, True), (2000, True), (1999, False)])
def test_an_engine_may_take_what_it_was_allowed(limit: int, fits: bool) -> None:
    rules = ProbeRules(engine_bytes_at_most=limit)
    if fits:
        judge_memory(Host(), rules)  # type: ignore[arg-type]
        return
    with pytest.raises(ProbeFailed, match="takes 2000 bytes of memory; at most 1999"):
        judge_memory(Host(), rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (TooLarge("Too large."), "too_large", False),
        (OSError(28, "No space left on device"), "site_storage", True),
        (ZeroDivisionError("in somebody's family"), "update_broken", False),
    ],
)
def test_whatever_goes_wrong_the_hub_hears_a_sentence(
    error: Exception, code: str, retryable: bool
) -> None:
    told = as_told(error)
    assert (told.code, told.retryable) == (code, retryable)
    assert told.message.endswith(".")


# Threads


def test_blocking_work_returns_and_raises() -> None:
    def fail() -> None:
        raise TooLarge("Too large.")

    assert asyncio.run(in_thread(lambda: 7, name="work")) == 7
    with pytest.raises(TooLarge):
        asyncio.run(in_thread(fail, name="work"))


def test_a_cancelled_caller_does_not_wait_for_the_thread() -> None:
    gate = threading.Event()
    finished = threading.Event()

    def work() -> None:
        gate.wait(10)
        finished.set()

    async def scenario() -> None:
        task = asyncio.create_task(in_thread(work, name="work"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert not finished.is_set()
    gate.set()  # what it returns now has nobody to go to
    assert finished.wait(10)
