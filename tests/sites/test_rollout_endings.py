"""Stopping a rollout and rolling it back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sites.fleet import ACTOR, M1, M2, Fleet, names

from dizuo.core.transitions import TransitionRefused
from dizuo.edge.wire import DesiredState
from dizuo.sites import service
from dizuo.sites.errors import (
    DirectionBlocked,
)
from dizuo.sites.rollout_model import ENTRY_MACHINE, ROLLOUT_MACHINE, EntryState, RolloutState


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


def test_every_set_that_a_site_is_directed_to_is_audited(half: Fleet) -> None:
    first, second = (half.released(version).digest for version in (1, 2))
    rollout = half.start(M2, ["a", "b"], served_as="meter-reading")
    half.arrive("a")
    half.stop(rollout)
    half.roll_back(rollout)
    sent = [one for one in half.details("site.directed") if rollout.id in one["cause"]]
    found = [
        (entry["subject"], entry["generation"], entry["served"], entry["cause"]) for entry in sent
    ]
    cause = f"rollout:{rollout.id}"
    set1 = {"meter-reading": {"stack": M1, "digest": first}}
    set2 = {"meter-reading": {"stack": M2, "digest": second}}
    assert found == [
        ("site:a", 2, set2, cause),
        ("site:b", 2, set2, cause),
        ("site:b", 3, set1, f"{cause}:stop"),
        ("site:a", 3, set1, f"{cause}:roll_back"),
    ]
    assert {entry["actor"] for entry in sent} == {ACTOR}
    assert half.actions().index("rollout.started") < half.actions().index("site.directed")


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
    with half.database.transaction() as session:
        service.remove(session, "a", ACTOR)
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
