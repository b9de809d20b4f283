"""SIGKILL at every step of an update: the last good model serves again, hub or no hub."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psutil
import pytest
from tests.agent.agent_process import AgentProcess, install
from tests.agent.hub_simulator import PATIENCE_SECONDS, HubSimulator
from tests.agent.stacks import GOLDEN_VALUES

from dizuo.agent.home import AgentHome
from dizuo.artifacts.layout import Layout
from dizuo.edge.wire import DesiredState

Site = tuple[AgentProcess, HubSimulator]
Arrange = Callable[[AgentProcess, HubSimulator, float], contextlib.AbstractContextManager[None]]


def direct(hub: HubSimulator, scale: float, **traits: Any) -> DesiredState:
    """Direct the site to a new stack of this scale."""
    number = hub.sites["site3"].desired.generation + 1
    built = hub.build(f"next-{number}", scale=scale, **traits)
    return hub.direct("site3", built.direction("meter"))


def held(path: str) -> Arrange:
    """The update waits for an answer to `path` while the block runs."""

    @contextlib.contextmanager
    def arrange(agent: AgentProcess, hub: HubSimulator, scale: float) -> Iterator[None]:
        hold = hub.hold(path)
        direct(hub, scale)
        hold.wait()
        yield
        hold.release()

    return arrange


@contextlib.contextmanager
def staging(agent: AgentProcess, hub: HubSimulator, scale: float) -> Iterator[None]:
    """The update waits for the layout's lock, which laying out takes and another process has."""
    hold = hub.hold("/blobs/")
    direct(hub, scale)
    hold.wait()
    with Layout(agent.home.layout).locked():
        hold.release()
        agent.wait(lambda status: status["step"] == "staging")
        yield


@contextlib.contextmanager
def slow_probe(agent: AgentProcess, hub: HubSimulator, scale: float) -> Iterator[None]:
    """The probe of the new stack takes longer than the block."""
    direct(hub, scale, seconds=0.4, slow_at=GOLDEN_VALUES[-1])
    agent.wait(lambda status: status["step"] == "probing" and len(agent.engine_pids()) == 2)
    yield


@contextlib.contextmanager
def retiring(agent: AgentProcess, hub: HubSimulator, scale: float) -> Iterator[None]:
    """The new generation serves, the old one still has a request in flight."""
    slow = direct(hub, -scale, seconds=3.0, slow_at=1.0)
    agent.wait_until_serves(slow.generation)
    asking = threading.Thread(target=_ask_until_cut, args=(agent,))
    asking.start()
    agent.wait(lambda _status: len(agent.engine_pids()) == 1)
    desired = direct(hub, scale)
    agent.wait(lambda _status: agent.home.read_active().generation == desired.generation)
    yield
    asking.join()


def _ask_until_cut(agent: AgentProcess) -> None:
    with contextlib.suppress(httpx2.TransportError):
        agent.ask(1.0)


STEPS: dict[str, Arrange] = {
    "verifying": held("/tuf/timestamp"),
    "verifying the project": held("project-default"),
    "fetching the index": held("/v2/.*/manifests/"),
    "fetching a blob": held("/v2/.*/blobs/"),
    "staging": staging,
    "probing": slow_probe,
    "retiring": retiring,
}
"""The steps at which an update can be held up from outside."""

DEATHS = (
    ("verifying", "dizuo.agent.supplies:Supplies.verify after 1"),
    ("fetching", "dizuo.agent.home:FetchedCount.add after 1"),
    ("staging", "dizuo.agent.generations:_lay_out after 1"),
    ("probing", "dizuo.agent.probe:judge before 1"),
    ("switching", "dizuo.agent.slots:Slots.switch before 2"),
    ("switching", "dizuo.agent.slots:Slots.switch after 2"),
    ("serving", "dizuo.agent.updater:judge_watch after 1"),
    ("serving", "dizuo.agent.home:AgentHome.write_active before 1"),
)
"""Where an update can die, in order, and the step that `status.json` tells of then. The first
switch of a process is to what it comes back with."""
DEATHS_ONCE_COMMITTED = (
    ("serving", "dizuo.agent.home:AgentHome.write_active after 1"),
    ("serving", "dizuo.agent.fleet:Fleet.stop before 1"),
    ("serving", "dizuo.agent.generations:collect after 1"),
)


def test_killed_at_every_step_it_comes_back_good_and_arrives(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    install(agent, hub)
    agent.kill()
    turn_round(hub)
    for step, place in DEATHS:
        dies(agent, hub, step, place)
        assert agent.home.read_active().generation == 1, place
    for step, place in DEATHS_ONCE_COMMITTED:
        dies(agent, hub, step, place)
        desired = hub.sites["site3"].desired.generation
        assert agent.home.read_active().generation == desired, place
        turn_round(hub)
    last_good = start_without_the_hub(agent, hub)
    assert agent.sides(3.0) == sides(last_good)
    hub.start()
    desired = hub.sites["site3"].desired.generation
    agent.wait_until_serves(desired)
    assert agent.sides(3.0) == sides(desired)
    assert hub.wait_for("site3", lambda said: said.state == "serving").error is None


def turn_round(hub: HubSimulator) -> DesiredState:
    """Direct the site to a stack that answers the other way round than the one before."""
    return direct(hub, 1.0 if hub.sites["site3"].desired.generation % 2 == 0 else -1.0)


def sides(generation: int) -> list[str]:
    """What a generation of `turn_round` says of 3.0."""
    return ["high"] if generation % 2 else ["low"]


def dies(agent: AgentProcess, hub: HubSimulator, step: str, place: str) -> None:
    """Without the hub it comes back good; with it, it goes on until it dies at `place`."""
    last_good = start_without_the_hub(agent, hub, place)
    assert agent.sides(3.0) == sides(last_good)
    goes_on_until_it_dies(agent, hub, step, place)


def goes_on_until_it_dies(agent: AgentProcess, hub: HubSimulator, step: str, place: str) -> None:
    """With the hub back, an agent that was started with `place` dies there, and its engines end."""
    hub.start()
    agent.wait_until_killed()
    assert json.loads(agent.home.status_file.read_bytes())["step"] == step, place
    wait_until(lambda: not engines_in(agent.home))


def start_without_the_hub(agent: AgentProcess, hub: HubSimulator, place: str = "") -> int:
    """The last good generation serves again with the hub gone; returns its number."""
    hub.stop()
    agent.start(die_at=place)
    last_good = agent.home.read_active().generation
    assert last_good is not None
    agent.wait(lambda status: status["step"] == "serving")
    assert agent.status()["running"]["generation"] == last_good
    return last_good


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_it_comes_back_good_and_arrives(site: Site, step: str) -> None:
    agent, hub = site
    before = agent.sides(3.0)
    with STEPS[step](agent, hub, -1.0 if before == ["high"] else 1.0):
        kill_and_come_back_without_the_hub(agent, hub)
        if step != "retiring":
            assert agent.sides(3.0) == before
    hub.start()
    agent.wait_until_serves(hub.sites["site3"].desired.generation)
    assert agent.sides(3.0) != before
    assert hub.wait_for("site3", lambda said: said.state == "serving").error is None


@pytest.mark.slow
def test_killed_while_it_watches_it_comes_back_good_and_arrives(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    agent.settings["DIZUO_AGENT_WATCH_SECONDS"] = "1"
    install(agent, hub)
    direct(hub, -1.0)
    agent.wait(lambda status: status["running"]["generation"] == 2)
    assert agent.sides(3.0) == ["low"]  # it answers, but is not known to be good yet
    kill_and_come_back_without_the_hub(agent, hub)
    assert agent.home.read_active().generation == 1
    hub.start()
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def kill_and_come_back_without_the_hub(agent: AgentProcess, hub: HubSimulator) -> None:
    """SIGKILL; no engine lives on; the last good generation serves again with the hub gone."""
    agent.kill()
    wait_until(lambda: not engines_in(agent.home))
    hub.stop()
    hub.faults.holds.clear()
    last_good = agent.home.read_active().generation
    agent.start()
    agent.wait(lambda status: status["step"] == "serving")
    assert agent.status()["running"]["generation"] == last_good


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_moment_it_arrives(agent: AgentProcess, hub: HubSimulator, seed: int) -> None:
    install(agent, hub)
    direct(hub, -1.0)
    chance = random.Random(seed)
    for _ in range(4):
        time.sleep(chance.uniform(0, 1.5))
        agent.kill()
        agent.start()
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def engines_in(home: AgentHome) -> list[int]:
    """The engine processes of an agent, whether it lives or not."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_engine = "dizuo.agent.engine_process" in process.cmdline()
            if is_engine and process.environ().get("DIZUO_AGENT_HOME") == str(home.root):
                found.append(process.pid)
    return found


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
