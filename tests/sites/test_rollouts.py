"""Rollouts from their start to their end, as stories of what operators do and sites say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sites.fleet import ACTOR, Fleet, fault, names

from dizuo.core.errors import DizuoError
from dizuo.core.transitions import TransitionRefused
from dizuo.database.engine import Database
from dizuo.edge.wire import DesiredState
from dizuo.releases.errors import ReleaseNotFound, ReleaseWithdrawn
from dizuo.releases.repository import Repository
from dizuo.sites import rollouts, service
from dizuo.sites.errors import (
    DirectionBlocked,
    NoSites,
    NoSiteTarget,
    RolloutKeyReused,
    RolloutNotFound,
    SiteNotFound,
)
from dizuo.sites.rollout_model import ENTRY_MACHINE, ROLLOUT_MACHINE, EntryState, RolloutState

M1, M2 = "meter-reading:1", "meter-reading:2"


@pytest.fixture
def fleet3(fleet: Fleet) -> Fleet:
    """Three sites; `meter-reading` 1 and 2 and `gauges` 1 are released."""
    fleet.join("a", "b", "c")
    fleet.release(version=1)
    fleet.release(version=2)
    fleet.release("gauges", 1)
    return fleet


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


# What sites are directed to.


def test_all_means_every_site_that_has_joined(fleet3: Fleet) -> None:
    rollout = fleet3.start(M1, "all", served_as="meters")
    assert [one.site_name for one in rollout.entries] == ["a", "b", "c"]
    for name in ("a", "b", "c"):
        assert names(fleet3.poll(name)) == {"meters": M1}


def test_others_keep_their_generation(fleet3: Fleet) -> None:
    fleet3.start(M1, "all")
    for name in ("a", "b", "c"):
        fleet3.arrive(name)
    before = fleet3.site("b")
    fleet3.start(M2, ["a"])
    fleet3.arrive("a")
    assert fleet3.site("b").desired == before.desired
    assert fleet3.site("a").desired.generation == before.desired.generation + 1
    assert names(fleet3.site("a").running) == {"meter-reading": M2}


def test_each_name_is_directed_by_itself(fleet3: Fleet) -> None:
    fleet3.start(M1, ["a"], served_as="left")
    fleet3.start(M2, ["a"], served_as="right")
    fleet3.start("gauges:1", ["a"])
    assert names(fleet3.poll("a")) == {"gauges": "gauges:1", "left": M1, "right": M2}
    assert fleet3.poll("a").generation == 3


def test_a_site_that_has_it_already_is_not_disturbed(fleet3: Fleet) -> None:
    fleet3.start(M1, ["a"])
    fleet3.arrive("a")
    again = fleet3.start(M1, ["a", "b"])
    assert fleet3.site("a").desired.generation == 1
    assert fleet3.states(again) == ("progressing", {"a": "done", "b": "pending"})
    assert fleet3.start(M1, ["a"]).state is RolloutState.DONE


def test_a_site_that_is_on_its_way_is_not_sent_again(fleet3: Fleet) -> None:
    fleet3.start(M1, ["a"])
    fleet3.begin("a")
    again = fleet3.start(M1, ["a"])
    assert fleet3.states(again) == ("progressing", {"a": "progressing"})
    fleet3.arrive("a")
    assert fleet3.states(again) == ("done", {"a": "done"})


def test_a_site_that_gave_up_tries_again_when_asked_again(fleet3: Fleet) -> None:
    first = fleet3.start(M1, ["a"])
    fleet3.fall_back("a")
    again = fleet3.start(M1, ["a"])
    assert fleet3.site("a").desired.generation == 2
    assert again.state is RolloutState.PENDING
    fleet3.arrive("a")
    assert fleet3.states(again)[0] == "done"
    assert fleet3.states(first)[0] == "failed"


def test_the_newest_release_is_meant_where_no_version_is_named(fleet3: Fleet) -> None:
    assert fleet3.start("meter-reading", ["a"]).stack == M2


def test_the_first_form_that_is_not_for_training_is_chosen(fleet3: Fleet) -> None:
    fleet3.release("words", targets=("safetensors", "gguf-q4_0", "onnx"))
    assert fleet3.start("words:1", ["a"]).direction.target == "gguf-q4_0"


def test_the_sets_a_site_was_directed_to_are_kept(fleet3: Fleet) -> None:
    first = fleet3.start(M1, ["a"])
    second = fleet3.start(M2, ["a"])
    with fleet3.database.reading() as session:
        kept = service.directions(session, "a")
    assert [one["generation"] for one in kept] == [2, 1]
    assert [one["cause"] for one in kept] == [f"rollout:{second.id}", f"rollout:{first.id}"]


# What is refused, and changes nothing.


@pytest.mark.parametrize(
    ("stack", "sites", "error"),
    [
        ("meter-reading:9", ["a"], ReleaseNotFound),
        ("nothing:1", ["a"], ReleaseNotFound),
        ("withdrawn:1", ["a"], ReleaseWithdrawn),
        ("training-only:1", ["a"], NoSiteTarget),
        (M1, ["a", "nobody"], SiteNotFound),
        (M1, [], NoSites),
    ],
)
def test_refusals(fleet3: Fleet, stack: str, sites: list[str], error: type[DizuoError]) -> None:
    fleet3.withdraw(fleet3.release("withdrawn"))
    fleet3.release("training-only", targets=("safetensors",))
    before = fleet3.num_audited()
    with pytest.raises(error) as caught:
        fleet3.start(stack, sites)
    assert caught.value.next_step
    assert fleet3.num_audited() == before
    assert fleet3.site("a").desired.generation == 0


def test_all_of_no_sites_is_refused(fleet: Fleet) -> None:
    fleet.release()
    with pytest.raises(NoSites):
        fleet.start(M1, "all")


def test_a_set_with_a_withdrawn_stack_is_never_sent(fleet3: Fleet) -> None:
    gauges = fleet3.release("gauges", 2)
    fleet3.start("gauges:2", ["a"])
    fleet3.withdraw(gauges)
    with pytest.raises(DirectionBlocked, match="gauges:2"):
        fleet3.start(M1, ["a"])
    fleet3.start("gauges:1", ["a"])
    fleet3.start(M1, ["a"])
    assert names(fleet3.poll("a")) == {"gauges": "gauges:1", "meter-reading": M1}


def test_a_key_starts_one_rollout(fleet3: Fleet) -> None:
    first = fleet3.start(M1, ["b", "a"], key="k")
    assert fleet3.start(M1, ["a", "b"], key="k") == first
    assert fleet3.site("a").desired.generation == 1
    for other in (M2, M1):
        with pytest.raises(RolloutKeyReused):
            fleet3.start(other, ["a"], key="k")
    assert fleet3.start(M1, ["a", "b"]).id != first.id


@pytest.mark.parametrize("project", ["default", "other"])
def test_a_rollout_that_is_not_there(fleet3: Fleet, project: str) -> None:
    known = fleet3.start(M1, ["a"])
    wanted = known.id if project == "other" else "nothing"
    for call in (rollouts.stop, rollouts.rollback):
        with pytest.raises(RolloutNotFound), fleet3.database.transaction() as session:
            call(session, wanted, ACTOR, project_id=project)


# Stopping and rolling back.


@pytest.fixture
def half(fleet3: Fleet) -> Fleet:
    """All three serve version 1; version 2 is on its way and has arrived at `a`."""
    fleet3.start(M1, "all")
    for name in ("a", "b", "c"):
        fleet3.arrive(name)
    return fleet3


def test_stop_leaves_those_who_have_arrived(half: Fleet) -> None:
    rollout = half.start(M2, "all")
    half.arrive("a")
    half.begin("b")
    stopped = half.stop(rollout)
    assert half.states(stopped) == ("stopped", {"a": "done", "b": "stopped", "c": "stopped"})
    assert {name: names(half.poll(name)) for name in "abc"} == {
        "a": {"meter-reading": M2},
        "b": {"meter-reading": M1},
        "c": {"meter-reading": M1},
    }
    assert half.site("a").desired.generation == 2
    assert half.site("c").desired.generation == 3


def test_roll_back_takes_everybody_back(half: Fleet) -> None:
    rollout = half.start(M2, "all")
    half.arrive("a")
    half.fall_back("b")
    done = half.roll_back(rollout)
    assert half.states(done) == ("rolled_back", dict.fromkeys("abc", "rolled_back"))
    for name in "abc":
        assert names(half.arrive(name)) == {"meter-reading": M1}


def test_a_first_rollout_rolls_back_to_nothing(fleet3: Fleet) -> None:
    rollout = fleet3.start(M1, ["a"])
    fleet3.arrive("a")
    fleet3.roll_back(rollout)
    assert fleet3.poll("a") == DesiredState(generation=2)
    fleet3.arrive("a")
    assert fleet3.site("a").state == "empty"


def test_who_was_directed_elsewhere_since_is_left_alone(half: Fleet) -> None:
    rollout = half.start(M2, "all")
    half.start("gauges:1", ["a"], served_as="meter-reading")
    half.start("gauges:1", ["b"])
    half.roll_back(rollout)
    assert names(half.poll("a")) == {"meter-reading": "gauges:1"}
    assert names(half.poll("b")) == {"gauges": "gauges:1", "meter-reading": M1}


def test_who_had_it_before_keeps_it(half: Fleet) -> None:
    rollout = half.start(M1, "all")
    half.roll_back(rollout)
    assert names(half.poll("a")) == {"meter-reading": M1}
    assert half.site("a").desired.generation == 1


def test_a_site_that_left_does_not_hinder(half: Fleet) -> None:
    rollout = half.start(M2, "all")
    half.arrive("a")
    leave("a")(half)
    half.roll_back(rollout)
    assert half.states(rollout)[0] == "rolled_back"
    assert names(half.poll("b")) == {"meter-reading": M1}


def test_nobody_is_taken_back_to_what_was_withdrawn(fleet3: Fleet) -> None:
    old = fleet3.release("old", 1)
    fleet3.start("old:1", ["a"], served_as="x")
    rollout = fleet3.start(M1, ["a"], served_as="x")
    fleet3.withdraw(old)
    with pytest.raises(DirectionBlocked, match="old:1"):
        fleet3.roll_back(rollout)
    assert fleet3.states(rollout) == ("pending", {"a": "pending"})
    assert names(fleet3.poll("a")) == {"x": M1}


@pytest.mark.parametrize(
    ("before", "then", "is_allowed"),
    [
        ("done", "stop", False),
        ("done", "roll_back", True),
        ("failed", "stop", False),
        ("failed", "roll_back", True),
        ("stopped", "stop", False),
        ("stopped", "roll_back", True),
        ("rolled_back", "stop", False),
        ("rolled_back", "roll_back", False),
    ],
)
def test_what_an_ended_rollout_allows(
    fleet3: Fleet, before: str, then: str, is_allowed: bool
) -> None:
    rollout = fleet3.start(M1, ["a"])
    endings: dict[str, Callable[[], object]] = {
        "done": lambda: fleet3.arrive("a"),
        "failed": lambda: fleet3.fall_back("a"),
        "stopped": lambda: fleet3.stop(rollout),
        "rolled_back": lambda: fleet3.roll_back(rollout),
    }
    endings[before]()
    action = fleet3.stop if then == "stop" else fleet3.roll_back
    if is_allowed:
        assert action(rollout).state is RolloutState.ROLLED_BACK
        return
    with pytest.raises(TransitionRefused):
        action(rollout)
    assert fleet3.states(rollout)[0] == before


def test_the_machines() -> None:
    assert ROLLOUT_MACHINE.states == set(RolloutState)
    assert ROLLOUT_MACHINE.final_states == {"superseded", "rolled_back"}
    assert ENTRY_MACHINE.states == set(EntryState)
    assert ENTRY_MACHINE.final_states == {"superseded", "stopped", "rolled_back"}


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
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_the_hub_stays_consistent(
    moves: list[tuple[str, str, str, str]],
    repository: Repository,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Generations only grow, a rollout's state follows from its sites', the audit chain holds, and
    a site that does what it is told ends every rollout."""
    from dizuo.database.engine import sqlite_url
    from dizuo.database.tables import Row

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
