"""Kills, a hub that is gone, bad bytes, a full disk: the site keeps a good model throughout."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from tests.agent.agent_process import AgentProcess, install
from tests.agent.hub_simulator import HubSimulator, other_bytes
from tests.agent.stacks import BALLAST_BYTES, GOLDEN_VALUES, build_base
from tests.agent.test_updates import fell_back

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
REPEATS = {"verifying the project", "fetching the index", "retiring"}
"""Moments like others, or after the last step: only the long campaign tries them."""


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


@contextlib.contextmanager
def hub_gone(hub: HubSimulator) -> Iterator[None]:
    hub.stop()
    yield
    hub.start()


@pytest.mark.parametrize(
    "path", [pytest.param("/tuf/timestamp", marks=pytest.mark.slow), "/v2/.*/blobs/"]
)
def test_the_hub_is_gone_for_the_whole_of_an_update(
    agent: AgentProcess, hub: HubSimulator, path: str
) -> None:
    install(agent, hub)
    with held(path)(agent, hub, -1.0), hub_gone(hub):
        agent.wait(lambda status: status["state"] == "fallen_back")
        error = agent.status()["error"]
        assert error["code"] in ("trust_unreachable", "fetch_interrupted")
        assert agent.sides(3.0) == ["high"]
        agent.wait(lambda status: status["error"]["at_ms"] > error["at_ms"])  # it tries again
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def test_an_update_goes_on_without_the_hub_once_its_bytes_are_here(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    install(agent, hub)
    with staging(agent, hub, -1.0):
        hub.stop()
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def test_bad_bytes_never_get_a_name(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    changes: list[Callable[[bytes], bytes]] = [other_bytes, lambda body: body + b"more"]
    for path in ("/v2/.*/blobs/", "/v2/.*/manifests/"):
        for change in changes:
            hub.faults.changes[path] = change
            generation = hub.sites["site3"].desired.generation + 1
            bad = hub.build(f"next-{generation}", scale=-1.0)
            hub.direct("site3", bad.direction("meter"))
            error = hub.wait_for_error("site3", generation)
            assert (error.step, error.code) == ("fetching", "blob_corrupt")
            assert agent.sides(3.0) == ["high"]
        hub.faults.changes.clear()
    hub.direct("site3", *hub.sites["site3"].desired.stacks)  # the same, on a line that is good now
    agent.wait_until_serves(hub.sites["site3"].desired.generation)
    assert agent.sides(3.0) == ["low"]


def test_tampered_metadata_is_refused(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    hub.faults.changes["project-default"] = lambda body: body.replace(b"next", b"exit")
    direct(hub, -1.0)
    heard = hub.wait_for("site3", fell_back)
    assert heard.error is not None
    assert (heard.error.step, heard.error.code) == ("verifying", "trust_metadata_tampered")


def test_a_cut_transfer_goes_on_where_it_stopped(agent: AgentProcess, hub: HubSimulator) -> None:
    hub.faults.cuts["/v2/.*/blobs/"] = BALLAST_BYTES // 3
    agent.start()
    hub.direct("site3", hub.build(scale=1.0).direction("meter"))
    heard = hub.wait_for("site3", lambda said: said.state == "serving")
    assert BALLAST_BYTES < heard.bytes_first_install < BALLAST_BYTES * 1.2
    assert agent.sides(3.0) == ["high"]


def test_bytes_that_a_killed_attempt_fetched_count_too(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    hub.faults.cuts["/v2/.*/blobs/"] = BALLAST_BYTES // 16  # too often to come through
    agent.start()
    hub.direct("site3", hub.build(scale=1.0).direction("meter"))
    agent.wait(lambda _status: agent.home.fetched(1).read() > BALLAST_BYTES // 4)
    agent.kill()
    hub.faults.cuts.clear()
    agent.start()
    heard = hub.wait_for("site3", lambda said: said.state == "serving")
    assert BALLAST_BYTES < heard.bytes_first_install < BALLAST_BYTES * 1.5


def limit_files(agent: AgentProcess, num_bytes: int) -> None:
    """Let the agent write no file longer than this: the kernel then answers as a full disk does."""
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (num_bytes, resource.RLIM_INFINITY))


def test_a_full_disk_while_fetching(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    hub.base = build_base(hub.layout, hub.home / "work", name="other")
    limit_files(agent, BALLAST_BYTES // 2)
    direct(hub, -1.0)
    heard = hub.wait_for("site3", fell_back)
    assert heard.error is not None
    assert (heard.error.step, heard.error.code) == ("fetching", "disk_full")
    assert agent.sides(3.0) == ["high"]
    limit_files(agent, resource.RLIM_INFINITY)
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def test_a_full_disk_while_staging(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    with staging(agent, hub, -1.0):
        limit_files(agent, 1)
    heard = hub.wait_for("site3", fell_back)
    assert heard.error is not None
    assert (heard.error.step, heard.error.code) == ("staging", "disk_full")
    assert agent.sides(3.0) == ["high"]
    limit_files(agent, resource.RLIM_INFINITY)
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def test_a_killed_engine_is_replaced_and_the_agent_lives(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    install(agent, hub)
    (engine,) = agent.engine_pids()
    os.kill(engine, signal.SIGKILL)
    statuses = set()
    while (answer := agent.ask(3.0)).status_code != 200:
        statuses.add((answer.status_code, answer.json()["code"], answer.headers["retry-after"]))
        assert httpx2.get(f"{agent.url}/v2/health/live").status_code == 200
    assert statuses <= {(503, "engine_restarting", "1")}
    assert answer.json()["model_version"] == "1"
    assert agent.engine_pids() != [engine]
    assert agent.status()["state"] == "serving"


def test_a_request_that_kills_the_engine_is_told_so(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.start()
    hub.direct("site3", hub.build(aborts_above=100.0).direction("meter"))
    agent.wait_until_serves(1)
    answer = agent.ask(1000.0)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_restarting")
    assert answer.json()["retryable"] is True
    while agent.ask(1.0).status_code != 200:
        pass
    assert "Fatal Python error: Aborted" in agent.home.engine_log.read_text()


def damage(agent: AgentProcess, generation: int) -> None:
    """One byte of the generation's own layer changes on disk, and of the blob it is a link to."""
    path = next(Path(agent.home.generations / str(generation)).rglob("L1/*/scale.json"))
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-2] ^= 0xFF
    path.write_bytes(data)


def test_damaged_files_are_never_served(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    direct(hub, -1.0)
    agent.wait_until_serves(2)
    agent.terminate()
    damage(agent, 2)
    with hub_gone(hub):
        agent.start()
        agent.wait(lambda status: status["running"]["generation"] == 1)
        assert agent.sides(3.0) == ["high"]
        assert agent.status()["error"]["code"] == "generation_damaged"
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def test_with_nothing_whole_left_it_starts_anew(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    agent.terminate()
    damage(agent, 1)
    with hub_gone(hub):
        agent.start()
        agent.wait(lambda status: bool(status.get("error")) and status["step"] == "empty")
        assert agent.ask(3.0).status_code == 503
    agent.wait_until_serves(1)
    assert agent.sides(3.0) == ["high"]


def test_an_old_generation_that_cannot_come_back_is_fetched_again(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    agent.settings["DIZUO_AGENT_MEMORY_BYTES_AT_MOST"] = (
        "1000000"  # so that the old one stops first
    )
    install(agent, hub)
    good = hub.sites["site3"].desired.stacks
    damage(agent, 1)
    direct(hub, 2.0, golden="wrong")
    error = hub.wait_for_error("site3", 2)
    assert (error.step, error.code) == ("probing", "probe_failed")
    assert hub.sites["site3"].check_ins[-1].state == "empty"
    assert agent.ask(3.0).status_code == 503
    hub.direct("site3", *good)
    agent.wait_until_serves(3)
    assert agent.sides(3.0) == ["high"]


def test_sigterm_lets_requests_finish(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.start()
    hub.direct("site3", hub.build(scale=1.0, seconds=0.4).direction("meter"))
    agent.wait_until_serves(1)
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(agent.ask(3.0).status_code))
    caller.start()
    (child,) = psutil.Process(agent.pid).children()
    while psutil.Process(agent.pid).num_fds() and not _is_asked(agent):
        time.sleep(0.005)
    assert agent.terminate() == 0
    caller.join()
    assert answers == [200]
    assert not psutil.pid_exists(child.pid)


def _is_asked(agent: AgentProcess) -> bool:
    """Whether somebody is connected to the local API."""
    port = int(agent.url.rsplit(":", 1)[1])
    return any(
        link.laddr.port == port and link.status == psutil.CONN_ESTABLISHED
        for link in psutil.Process(agent.pid).net_connections("tcp")
    )
