"""The states of a site's update."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.transitions import TransitionRefused
from dizuo.edge.site_machine import (
    EMPTY,
    FALLEN_BACK,
    RESTING,
    SERVING,
    SITE_UPDATE,
    SWITCHING,
    UPDATING,
    VERIFYING,
    WireState,
    wire_state,
)
from dizuo.edge.wire import CheckIn

WAY = ("verify", "fetch", "stage", "probe", "switch", "serve")


def walk(state: str, *names: str) -> str:
    for name in names:
        state = SITE_UPDATE.apply(state, name)
    return state


def test_the_way_of_an_update() -> None:
    assert walk(EMPTY, *WAY) == SERVING
    assert walk(EMPTY, *WAY, *WAY) == SERVING
    assert walk(FALLEN_BACK, *WAY) == SERVING


def test_an_empty_set_has_nothing_to_fetch() -> None:
    assert walk(SERVING, "verify", "switch", "clear") == EMPTY


def test_an_empty_set_may_fail_once_it_was_switched_to() -> None:
    cleared = walk(SERVING, "verify", "switch", "clear")
    assert walk(cleared, "fall_back") == FALLEN_BACK
    assert walk(cleared, "give_up") == EMPTY


@pytest.mark.parametrize("num_steps", range(1, 6))
def test_every_step_may_fail_or_be_cut_off(num_steps: int) -> None:
    state = walk(SERVING, *WAY[:num_steps])
    assert state in UPDATING
    assert walk(state, "fall_back") == FALLEN_BACK
    assert walk(state, "give_up") == EMPTY
    assert walk(state, "resume_serving") == SERVING
    assert walk(state, "resume_empty") == EMPTY


def test_the_watch_may_find_a_new_generation_unfit() -> None:
    assert walk(EMPTY, *WAY, "fall_back") == FALLEN_BACK
    assert walk(EMPTY, *WAY, "give_up") == EMPTY


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (EMPTY, "serve"),
        (EMPTY, "switch"),
        (VERIFYING, "stage"),
        (VERIFYING, "serve"),
        (SWITCHING, "verify"),
    ],
)
def test_no_step_is_skipped(state: str, name: str) -> None:
    with pytest.raises(TransitionRefused):
        SITE_UPDATE.apply(state, name)


@given(st.lists(st.sampled_from(sorted({rule.name for rule in SITE_UPDATE.rules})), max_size=30))
def test_serving_is_reached_by_switching_or_from_a_good_generation(names: list[str]) -> None:
    """Nothing serves that was not switched to, but for what served before."""
    state = SITE_UPDATE.initial
    for name in names:
        try:
            after = SITE_UPDATE.apply(state, name)
        except TransitionRefused:
            continue
        if after == SERVING:
            assert state == SWITCHING or name == "resume_serving"
        state = after


def test_every_state_has_a_word_on_the_wire() -> None:
    assert SITE_UPDATE.states == {*RESTING, *UPDATING}
    words = {wire_state(state) for state in SITE_UPDATE.states}
    assert words == set(get_args(WireState))
    assert words == set(get_args(CheckIn.model_fields["state"].annotation))
    assert SITE_UPDATE.final_states == frozenset()
    with pytest.raises(KeyError):
        wire_state("dreaming")
