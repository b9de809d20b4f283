"""Updates of a real agent process by a simulated hub."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.agent.agent_process import AgentProcess, install, request
from tests.agent.hub_simulator import HubSimulator
from tests.agent.stacks import build, build_base

from dizuo.edge.wire import CheckIn, DesiredState, Direction, SiteError

Site = tuple[AgentProcess, HubSimulator]


def refusal(site: Site, *directions: Direction) -> SiteError:
    """Direct the site to what it must not serve; returns why it did not. It serves on."""
    agent, hub = site
    hub.requests.clear()
    desired = hub.direct("site3", *directions)
    error = hub.wait_for_error("site3", desired.generation)
    assert hub.sites["site3"].check_ins[-1].running.generation == 1
    assert agent.sides(3.0) == ["high"]
    assert len(agent.engine_pids()) == 1
    return error


def fell_back(said: CheckIn) -> bool:
    return said.state in ("fallen_back", "empty") and said.error is not None


def test_first_install_serves_the_signed_stack(agent: AgentProcess, hub: HubSimulator) -> None:
    built = hub.build(scale=-1.0)
    agent.start()
    hub.direct("site3", built.direction("meter"))
    agent.wait_until_serves(1)
    response = agent.ask(3.0, -3.0).json()
    assert response["outputs"][0]["data"] == ["low", "high"]
    assert response["model_name"] == "meter"
    assert response["model_version"] == "1"
    assert response["parameters"] == {"stack_digest": built.digest}
    heard = hub.wait_for("site3", lambda said: said.state == "serving" and said.answers == 1)
    assert heard.running == hub.sites["site3"].desired
    assert heard.bytes_first_install > 300_000
    assert heard.bytes_last_update == 0
    assert heard.error is None
    engines = agent.engine_pids()
    assert len(engines) == 1
    assert agent.terminate() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in engines)


def test_a_second_layer_costs_only_itself(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    turned = hub.build("meter-site3", scale=-1.0)
    hub.direct("site3", turned.direction("meter"))
    agent.wait_until_serves(2)
    heard = hub.wait_for(
        "site3", lambda said: said.state == "serving" and said.running.generation == 2
    )
    assert 0 < heard.bytes_last_update < heard.bytes_first_install / 10
    assert agent.sides(3.0) == ["low"]
    kept = {path.name for path in agent.home.generations.iterdir()}
    assert kept == {"1", "2"}


@pytest.mark.slow
def test_old_generations_and_their_blobs_are_removed(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    install(agent, hub)
    first = hub.sites["site3"].desired.stacks[0].digest
    for version in (2, 3):
        built = hub.build("meter", version, scale=float(version))
        hub.direct("site3", built.direction("meter"))
        agent.wait_until_serves(version)
    blob = agent.home.layout / "blobs" / "sha256" / first.removeprefix("sha256:")
    agent.wait(lambda _status: not blob.exists())
    assert {path.name for path in agent.home.generations.iterdir()} == {"2", "3"}


def test_no_request_fails_during_a_switch(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    stop = threading.Event()
    seen: list[tuple[int, str]] = []

    def ask_for_ever() -> None:
        with httpx2.Client() as client:
            while not stop.is_set():
                answer = client.post(f"{agent.url}/v2/models/meter/infer", json=request(3.0))
                version = answer.json().get("model_version", answer.text)
                seen.append((answer.status_code, version))

    callers = [threading.Thread(target=ask_for_ever) for _ in range(4)]
    for caller in callers:
        caller.start()
    for version in (2, 3):
        built = hub.build("meter", version, scale=float(version))
        hub.direct("site3", built.direction("meter"))
        agent.wait_until_serves(version)
    stop.set()
    for caller in callers:
        caller.join()
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {"1", "2", "3"}


def test_one_engine_serves_every_stack_on_one_base(agent: AgentProcess, hub: HubSimulator) -> None:
    right, turned = hub.build(scale=1.0), hub.build("turned", scale=-1.0)
    other = build_base(hub.layout, hub.home / "work", name="other", offset=-100.0)
    hub.sign(other)
    agent.start()
    hub.direct(
        "site3", right.direction("right"), turned.direction("turned"), other.direction("bare")
    )
    heard = hub.wait_for("site3", fell_back)
    assert heard.error is not None
    assert (heard.error.step, heard.error.code) == ("probing", "layer_refused")  # no golden set
    hub.direct("site3", right.direction("right"), turned.direction("turned"))
    agent.wait_until_serves(2)
    assert len(agent.engine_pids()) == 1
    assert agent.sides(5.0, model="right") == ["high"]
    assert agent.sides(5.0, model="turned") == ["low"]
    models = httpx2.get(f"{agent.url}/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["right", "turned"]
    hub.base = other
    pressure = hub.build("pressure", scale=1.0)
    hub.direct("site3", right.direction("right"), pressure.direction("pressure"))
    agent.wait_until_serves(3)
    agent.wait(lambda _status: len(agent.engine_pids()) == 2)  # another base, another process
    assert agent.sides(5.0, model="right") == ["high"]
    assert agent.sides(5.0, model="pressure") == ["low"]


def test_an_empty_set_serves_nothing(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    hub.direct("site3")
    agent.wait(lambda status: agent.home.read_active().generation == 2)
    agent.wait(lambda _status: not agent.engine_pids())
    answer = agent.ask(1.0)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_serving")
    agent.kill()
    agent.start()
    agent.wait(lambda status: status["step"] == "empty" and status["running"]["generation"] == 2)


@pytest.mark.parametrize(
    ("name", "trait", "code"),
    [
        ("wrong-golden", {"golden": "wrong"}, "probe_failed"),
        ("no-golden", {"golden": "missing"}, "layer_refused"),
        ("misfit", {"misfit": True, "golden": "missing"}, "layer_refused"),
        ("stillborn", {"aborts_on_open": True}, "engine_failed"),
        ("frail", {"aborts_above": -10.0}, "engine_restarting"),
    ],
)
def test_a_stack_that_does_not_prove_itself_never_serves(
    site: Site, name: str, trait: dict[str, Any], code: str
) -> None:
    error = refusal(site, site[1].build(name, **trait).direction("meter"))
    assert (error.step, error.code) == ("probing", code)


@pytest.mark.slow
def test_after_a_bad_generation_a_good_one_serves(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    hub.direct("site3", hub.build("bad", golden="wrong").direction("meter"))
    hub.wait_for("site3", fell_back)
    hub.direct("site3", hub.build("good", scale=-1.0).direction("meter"))
    agent.wait_until_serves(3)
    assert hub.wait_for("site3", lambda said: said.state == "serving").error is None
    assert agent.sides(3.0) == ["low"]


def test_a_first_stack_that_fails_leaves_the_site_empty(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    agent.start()
    hub.direct("site3", hub.build(golden="wrong").direction("meter"))
    heard = hub.wait_for("site3", fell_back)
    assert heard.state == "empty"
    assert agent.ask(1.0).status_code == 503
    assert agent.engine_pids() == []


def unsigned(hub: HubSimulator) -> Direction:
    return build(hub.layout, hub.home / "work", hub.base, name="rogue").direction("meter")


@pytest.mark.parametrize(
    ("direction", "code"),
    [
        (unsigned, "trust_direction_unsigned"),
        (
            lambda hub: hub.build("x1").direction("meter", digest=hub.base.digest),
            "trust_direction_differs",
        ),
        (
            lambda hub: hub.build("x2").direction("meter", family="vision"),
            "trust_direction_differs",
        ),
        (lambda hub: hub.build("x3").direction("meter", version=7), "trust_direction_unsigned"),
    ],
)
def test_what_is_not_signed_is_not_even_fetched(
    site: Site, direction: Callable[[HubSimulator], Direction], code: str
) -> None:
    error = refusal(site, direction(site[1]))
    assert (error.step, error.code) == ("verifying", code)
    assert not [line for line in site[1].requests if " /v2/" in line]


def test_an_unknown_target_falls_back(site: Site) -> None:
    error = refusal(site, site[1].build("x4").direction("meter", target="gguf-q4_0"))
    assert (error.step, error.code) == ("fetching", "target_missing")


def test_generations_only_grow(agent: AgentProcess, hub: HubSimulator) -> None:
    install(agent, hub)
    good = hub.sites["site3"].desired
    other = hub.build("other", scale=-1.0)
    hub.sites["site3"].desired = DesiredState(generation=1, stacks=(other.direction("meter"),))
    heard = hub.wait_for("site3", fell_back)
    assert heard.error is not None
    assert heard.error.code == "generation_reversed"
    assert agent.sides(3.0) == ["high"]
    hub.sites["site3"].desired = good  # what runs: nothing to do, and nothing to complain of
    heard = hub.wait_for("site3", lambda said: said.state == "serving")
    assert heard.error is None


def test_a_bad_generation_is_not_retried_in_a_tight_loop(site: Site) -> None:
    first = refusal(site, site[1].build("bad", golden="wrong").direction("meter"))
    for _ in range(3):  # each of these is a poll at which it could have been tried again
        assert site[1].wait_for("site3", lambda _said: True).error == first
    again = site[1].wait_for("site3", lambda said: said.error != first)  # it is, but later
    assert again.error is not None
    assert again.error.at_ms - first.at_ms >= 2000  # ten times 0.2 s


def test_a_generation_that_dies_while_it_is_watched_falls_back(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    agent.settings["DIZUO_AGENT_WATCH_SECONDS"] = "60"
    agent.settings["DIZUO_AGENT_WATCH_ANSWERS"] = "1"
    agent.start()
    hub.direct("site3", hub.build(scale=1.0).direction("meter"))
    agent.wait(lambda status: status["step"] == "serving")
    agent.sides(1.0)  # ends the first watch
    agent.wait_until_serves(1)
    hub.direct("site3", hub.build("frail", aborts_above=10.0).direction("meter"))
    agent.wait(lambda status: status["running"]["generation"] == 2)
    assert agent.ask(99.0).status_code == 503
    heard = hub.wait_for("site3", fell_back)
    assert heard.error is not None
    assert (heard.error.step, heard.error.code) == ("watching", "watch_failed")
    assert agent.home.read_active().generation == 1
    assert agent.sides(99.0) == ["high"]


@pytest.mark.slow
def test_a_generation_with_too_many_errors_falls_back(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    agent.settings["DIZUO_AGENT_WATCH_SECONDS"] = "60"
    agent.start()
    hub.direct("site3", hub.build(stumbles_at=7.0).direction("meter"))
    agent.wait(lambda status: status["step"] == "serving")
    for _ in range(3):
        answer = agent.ask(7.0)
        assert (answer.status_code, answer.json()["code"]) == (500, "engine_failed")
    heard = hub.wait_for("site3", fell_back)
    assert heard.error is not None
    assert (heard.error.step, heard.error.code) == ("watching", "watch_failed")
    assert heard.state == "empty"


def test_too_little_memory_for_two_generations_drains_first(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    agent.settings["DIZUO_AGENT_MEMORY_BYTES_AT_MOST"] = "1000000"
    install(agent, hub)
    engine = agent.engine_pids()
    bad = hub.build("bad", seconds=0.2, golden="wrong")
    hub.direct("site3", bad.direction("meter"))
    status = agent.wait(lambda status: status["step"] == "probing")
    assert status["note"].startswith("Memory does not hold two generations")
    agent.wait(lambda _status: not set(engine) & set(agent.engine_pids()))
    heard = hub.wait_for("site3", fell_back)
    assert heard.state == "fallen_back"
    assert heard.running.generation == 1
    assert agent.sides(3.0) == ["high"]
    hub.direct("site3", hub.build("good", scale=-1.0).direction("meter"))
    agent.wait_until_serves(3)
    assert agent.sides(3.0) == ["low"]
    assert len(agent.engine_pids()) == 1
    assert agent.home.read_active().previous == 1


@pytest.mark.slow
def test_the_hub_hears_of_a_long_update_while_it_runs(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    install(agent, hub)
    hold = hub.hold("/blobs/")
    hub.direct("site3", hub.build("next").direction("meter"))
    hold.wait()
    assert hub.wait_for("site3", lambda said: said.state == "updating").running.generation == 1
    hold.release()
    agent.wait_until_serves(2)
