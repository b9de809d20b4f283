"""SIGKILL at every step of an update: the last good model serves again, hub or no hub."""

from __future__ import annotations

import contextlib
import os
import random
import signal
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
def switching(agent: AgentProcess, hub: HubSimulator, scale: float) -> Iterator[None]:
    """The agent is stopped between the line that says it switches and the switch being done.

    The moment is as short as one fsync. Where it is missed, the site is brought back to where it
    was, and the moment comes again.
    """
    deadline = time.monotonic() + 2 * PATIENCE_SECONDS
    desired = direct(hub, scale)
    while not _stopped_while_switching(agent, desired.generation, deadline):
        agent.wait_until_serves(desired.generation)
        back = direct(hub, -scale)
        agent.wait_until_serves(back.generation)
        desired = direct(hub, scale)
    yield  # the process is stopped: only SIGKILL can follow


def _stopped_while_switching(agent: AgentProcess, generation: int, deadline: float) -> bool:
    """Stop the process in the middle of the switch; False, and it goes on, if that was missed."""
    while (status := agent.status())["step"] != "switching":
        assert time.monotonic() < deadline, f"the switch was never met, now {status}"
        if status["running"]["generation"] == generation:
            return False
    os.kill(agent.pid, signal.SIGSTOP)
    if agent.status()["step"] == "switching":
        return True
    os.kill(agent.pid, signal.SIGCONT)
    return False


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
    "switching": switching,
    "retiring": retiring,
}
REPEATS = {"verifying", "verifying the project", "fetching the index", "staging", "retiring"}
"""Moments much like others, or after the last step: only the long campaign tries them."""


@pytest.mark.parametrize(
    "step",
    [pytest.param(s, marks=[pytest.mark.slow] if s in REPEATS else []) for s in STEPS],
)
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
    engines = agent.engine_pids()
    agent.kill()
    wait_until_gone(engines)
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


def wait_until_gone(pids: list[int]) -> None:
    """Engines end by themselves when their agent was killed."""
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, f"of {pids} some live on"
        time.sleep(0.01)
