"""Rollouts from their start to their end, as stories of what operators do and sites say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sites.fleet import ACTOR, M1, M2, Fleet, fault

from dizuo.core.transitions import TransitionRefused
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.edge.wire import DesiredState
from dizuo.releases.repository import Repository
from dizuo.sites import rollouts, service
from dizuo.sites.rollout_model import EntryState, RolloutState

# Stories: (what happens, the rollout's state in the end, the states of its sites).

Story = Callable[[Fleet], object]


@dataclass(frozen=True)
class Scenario:
    name: str
    story: tuple[Story, ...]
    state: str
    sites: dict[str, str]


def poll(site: str) -> Story:
    return lambda fleet: fleet.poll(site)


def arrive(site: str) -> Story:
    return lambda fleet: fleet.arrive(site)


def begin(site: str) -> Story:
    return lambda fleet: fleet.begin(site)


def fall_back(site: str) -> Story:
    return lambda fleet: fleet.fall_back(site)


def fall_back_later(site: str) -> Story:
    return lambda fleet: fleet.fall_back_later(site, DesiredState(generation=0))


def other_rollout(stack: str, *sites: str, served_as: str = "") -> Story:
    return lambda fleet: fleet.start(stack, sites, served_as=served_as)


def leave(site: str) -> Story:
    def story(fleet: Fleet) -> None:
        with fleet.database.transaction() as session:
            service.remove(session, site, ACTOR)

    return story


def complain(site: str, generation: int) -> Story:
    """An error about a generation, from a site that goes on working."""
    return lambda fleet: fleet.say(site, "updating", error=fault(generation, "hub_unreachable"))


def old_complaint(site: str) -> Story:
    """Fallen back from something before this rollout."""
    return lambda fleet: fleet.say(site, "fallen_back", error=fault(0))


SCENARIOS = [
    Scenario("nobody has heard", (), "pending", {"a": "pending", "b": "pending"}),
    Scenario("one has heard", (poll("a"),), "progressing", {"a": "progressing", "b": "pending"}),
    Scenario("one works", (begin("a"),), "progressing", {"a": "progressing", "b": "pending"}),
    Scenario("one arrived", (arrive("a"),), "progressing", {"a": "done", "b": "pending"}),
    Scenario("all arrived", (arrive("a"), arrive("b")), "done", {"a": "done", "b": "done"}),
    Scenario("one fell back", (fall_back("a"),), "failed", {"a": "failed", "b": "pending"}),
    Scenario(
        "one fell back, the other arrived after it",
        (fall_back("a"), arrive("b")),
        "failed",
        {"a": "failed", "b": "done"},
    ),
    Scenario(
        "one fell back after it had switched",
        (arrive("a"), fall_back_later("a")),
        "failed",
        {"a": "failed", "b": "pending"},
    ),
    Scenario(
        "one fell back after all had arrived",
        (arrive("a"), arrive("b"), fall_back_later("b")),
        "failed",
        {"a": "done", "b": "failed"},
    ),
    Scenario(
        "an error on the way is not the end",
        (complain("a", 1), poll("b")),
        "progressing",
        {"a": "progressing", "b": "progressing"},
    ),
    Scenario(
        "an error about an older generation does not count",
        (old_complaint("a"),),
        "progressing",
        {"a": "progressing", "b": "pending"},
    ),
    Scenario(
        "another version came before anybody heard",
        (other_rollout(M2, "a", "b"), arrive("a"), arrive("b")),
        "superseded",
        {"a": "superseded", "b": "superseded"},
    ),
    Scenario(
        "one was directed elsewhere, the other arrived",
        (other_rollout(M2, "a"), arrive("a"), arrive("b")),
        "done",
        {"a": "superseded", "b": "done"},
    ),
    Scenario(
        "another stack beside it does not matter",
        (other_rollout("gauges:1", "a", "b"), arrive("a"), arrive("b")),
        "done",
        {"a": "done", "b": "done"},
    ),
    Scenario(
        "another stack beside it takes it down",
        (other_rollout("gauges:1", "a"), fall_back("a")),
        "failed",
        {"a": "failed", "b": "pending"},
    ),
    Scenario(
        "a later rollout that fails does not touch one that is done",
        (arrive("a"), arrive("b"), other_rollout(M2, "a"), fall_back("a")),
        "done",
        {"a": "done", "b": "done"},
    ),
    Scenario("one was removed", (arrive("a"), leave("b")), "done", {"a": "done", "b": "stopped"}),
    Scenario(
        "all were removed",
        (leave("a"), leave("b")),
        "superseded",
        {"a": "stopped", "b": "stopped"},
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_stories(fleet3: Fleet, scenario: Scenario) -> None:
    rollout = fleet3.start(M1, ["a", "b"])
    assert rollout.state is RolloutState.PENDING
    for step in scenario.story:
        step(fleet3)
    assert fleet3.states(rollout) == (scenario.state, scenario.sites)
    assert fleet3.actions("rollout.started")


def test_a_failure_says_why(fleet3: Fleet) -> None:
    rollout = fleet3.start(M1, ["a"])
    fleet3.fall_back("a", "engine_failed")
    now = fleet3.rollout(rollout)
    assert now.reason == "a fell back (engine_failed: It misread.)"
    assert now.entries[0].reason == "engine_failed: It misread."


def test_every_change_is_audited(fleet3: Fleet) -> None:
    fleet3.start(M1, ["a"])
    fleet3.arrive("a")
    assert fleet3.actions("rollout") == [
        "rollout.started",
        "rollout_site.told",
        "rollout.progressing",
        "rollout_site.finished",
        "rollout.finished",
    ]


# Whatever happens in whatever order.

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "begin", "fall_back", "poll", "start", "stop", "roll_back"]),
        st.sampled_from("ab"),
        st.sampled_from([M1, M2]),
        st.sampled_from(["x", "y"]),
    ),
    max_size=14,
)


@given(moves=MOVES)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_the_hub_stays_consistent(
    moves: list[tuple[str, str, str, str]],
    repository: Repository,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Generations only grow, a rollout's state follows from its sites', the audit chain holds, and
    a site that does what it is told ends every rollout."""
    database = Database(sqlite_url(tmp_path_factory.mktemp("any") / "test.db"))
    Row.metadata.create_all(database.engine)
    fleet = Fleet(database, repository)
    fleet.join("a", "b")
    fleet.release(version=1)
    fleet.release(version=2)
    started = [fleet.start(M1, "all", served_as="x")]
    generations = {"a": 1, "b": 1}
    for move, site, stack, served_as in moves:
        if move == "start":
            started.append(fleet.start(stack, [site], served_as=served_as))
        elif move in ("stop", "roll_back"):
            take_back(fleet, move, started[-1].id)
        else:
            getattr(fleet, move)(site)
        for name, before in generations.items():
            generations[name] = fleet.site(name).desired.generation
            assert generations[name] >= before
    for name in generations:
        fleet.arrive(name)
        fleet.poll(name)
        assert fleet.site(name).running == fleet.site(name).desired
    for rollout in started:
        now = fleet.rollout(rollout)
        assert not now.is_open
        assert not any(entry.is_open for entry in now.entries)
        assert (now.state is RolloutState.FAILED) <= any(
            entry.state is EntryState.FAILED for entry in now.entries
        )
    assert fleet.actions("rollout.started") == ["rollout.started"] * len(started)
    database.close()


def take_back(fleet: Fleet, move: str, rollout_id: str) -> None:
    call = rollouts.stop if move == "stop" else rollouts.rollback
    try:
        with fleet.database.transaction() as session:
            call(session, rollout_id, ACTOR)
    except TransitionRefused:
        pass
