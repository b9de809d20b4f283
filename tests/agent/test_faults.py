"""A hub that is gone, bad bytes, dead engines: the site keeps a good model throughout."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.agent.agent_process import AgentProcess, install
from tests.agent.hub_simulator import HubSimulator, other_bytes
from tests.agent.stacks import BALLAST_BYTES
from tests.agent.test_cli import dizuo
from tests.agent.test_kills import Site, direct, held, staging
from tests.agent.test_updates import fell_back

from dizuo.core.clock import now_ms
from dizuo.edge.wire import CheckIn
from dizuo.releases.repository import Repository


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


@pytest.mark.slow
def test_an_update_goes_on_without_the_hub_once_its_bytes_are_here(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    install(agent, hub)
    with staging(agent, hub, -1.0):
        hub.stop()
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]


def test_bad_bytes_never_get_a_name(site: Site) -> None:
    agent, hub = site
    before = agent.sides(3.0)
    scale = -1.0 if before == ["high"] else 1.0
    changes: list[Callable[[bytes], bytes]] = [other_bytes, lambda body: body + b"more"]
    for path in ("/v2/.*/blobs/", "/v2/.*/manifests/"):
        for change in changes:
            hub.faults.changes[path] = change
            generation = hub.sites["site3"].desired.generation + 1
            direct(hub, scale)
            error = hub.wait_for_error("site3", generation)
            assert (error.step, error.code) == ("fetching", "blob_corrupt")
            assert agent.sides(3.0) == before
        hub.faults.changes.clear()
    hub.direct("site3", *hub.sites["site3"].desired.stacks)  # the same, on a line that is good now
    agent.wait_until_serves(hub.sites["site3"].desired.generation)
    assert agent.sides(3.0) != before


def test_tampered_metadata_is_refused(site: Site) -> None:
    agent, hub = site
    before = agent.sides(3.0)
    hub.faults.changes["project-default"] = lambda body: body.replace(b"next", b"exit")
    desired = direct(hub, -1.0 if before == ["high"] else 1.0)
    error = hub.wait_for_error("site3", desired.generation)
    assert (error.step, error.code) == ("verifying", "trust_metadata_tampered")
    assert agent.sides(3.0) == before
    hub.faults.changes.clear()
    hub.direct("site3", *desired.stacks)
    agent.wait_until_serves(hub.sites["site3"].desired.generation)


def expired(_agent: AgentProcess, hub: HubSimulator) -> None:
    """Whoever signs now does it with a clock that is a year behind."""
    hub.repository = Repository(hub.home, clock=lambda: now_ms() - 365 * 86_400_000)


def rolled_back(agent: AgentProcess, hub: HubSimulator) -> None:
    """The hub shows the timestamp of before the release that the site has taken last."""
    kept = (hub.repository.directory / "timestamp.json").read_bytes()
    agent.wait_until_serves(direct(hub, 1.0).generation)
    hub.faults.changes["/tuf/timestamp.json"] = lambda _body: kept


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (expired, "trust_metadata_expired", "The hub's signed metadata has expired"),
        (
            rolled_back,
            "trust_metadata_rolled_back",
            "The hub shows signed metadata of the wrong version",
        ),
    ],
)
def test_old_metadata_is_told_in_the_status_of_a_site_that_serves_on(
    site: Site, fault: Callable[[AgentProcess, HubSimulator], None], code: str, says: str
) -> None:
    agent, hub = site
    fault(agent, hub)
    before, running = agent.sides(3.0), agent.status()["running"]
    desired = direct(hub, -1.0 if before == ["high"] else 1.0)
    error = hub.wait_for_error("site3", desired.generation)
    assert (error.step, error.code) == ("verifying", code)
    home = str(agent.home.root)
    told = json.loads(dizuo("agent", "status", "--home", home, "--json").stdout)
    assert (told["error"]["code"], told["running"]) == (code, running)
    assert says in " ".join(dizuo("agent", "status", "--home", home).stdout.split())
    assert agent.sides(3.0) == before
    hub.faults.changes.clear()
    hub.repository = Repository(hub.home)
    hub.repository.refresh()
    hub.direct("site3", *hub.sites["site3"].desired.stacks)
    agent.wait_until_serves(hub.sites["site3"].desired.generation)
    assert agent.sides(3.0) != before


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


def told(said: CheckIn) -> int | None:
    """The generation of the error that a check-in tells of."""
    return said.error.generation if said.error else None


def test_an_empty_set_that_cannot_be_written_down_falls_back(site: Site) -> None:
    agent, hub = site
    before, stacks = agent.sides(3.0), hub.sites["site3"].desired.stacks
    agent.home.active_file.unlink()
    in_the_way = agent.home.active_file / "in the way"
    in_the_way.mkdir(parents=True)
    generation = hub.direct("site3").generation
    heard = hub.wait_for("site3", lambda said: fell_back(said) and told(said) == generation)
    assert heard.state == "fallen_back"
    assert heard.error is not None
    assert (heard.error.step, heard.error.code) == ("watching", "site_storage")
    assert agent.sides(3.0) == before
    in_the_way.rmdir()
    in_the_way.parent.rmdir()
    agent.wait(lambda status: status["step"] == "empty" and status["error"] is None)
    assert agent.ask(3.0).status_code == 503
    agent.wait_until_serves(hub.direct("site3", *stacks).generation)
    assert agent.sides(3.0) == before


def test_a_killed_engine_is_replaced_and_the_agent_lives(site: Site) -> None:
    agent, hub = site
    agent.wait(lambda _status: len(agent.engine_pids()) == 1)
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
    assert hub.wait_for("site3", lambda said: said.state == "serving").error is None


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
