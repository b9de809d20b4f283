"""State machines: what the table allows, and tables that are refused when they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.transitions import Rule, StateMachine, TransitionRefused

LAMP = StateMachine(
    thing="lamp",
    initial="off",
    rules=(
        Rule("switch_on", ("off",), "on"),
        Rule("switch_off", ("on",), "off"),
        Rule("break_it", ("on", "off"), "broken"),
    ),
)

STATES = ("a", "b", "c", "d", "e")
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["go", "stop", "turn"]),
        st.lists(st.sampled_from(STATES), min_size=1, max_size=3).map(tuple),
        st.sampled_from(STATES),
    ),
    max_size=8,
).map(tuple)


def test_states_and_final_states() -> None:
    assert LAMP.states == {"off", "on", "broken"}
    assert LAMP.final_states == {"broken"}
    assert LAMP.allowed("on") == ["break_it", "switch_off"]
    assert LAMP.allowed("broken") == []


@pytest.mark.parametrize(
    ("state", "name", "target"),
    [
        ("off", "switch_on", "on"),
        ("on", "switch_off", "off"),
        ("on", "break_it", "broken"),
        ("off", "break_it", "broken"),
    ],
)
def test_each_rule_leads_where_the_table_says(state: str, name: str, target: str) -> None:
    assert LAMP.apply(state, name) == target


@pytest.mark.parametrize(
    ("state", "name", "message", "next_step"),
    [
        (
            "on",
            "switch_on",
            "This lamp is on and cannot switch on.",
            "From on it can: break_it, switch_off.",
        ),
        (
            "broken",
            "switch_on",
            "This lamp is broken and cannot switch on.",
            "From broken it can: nothing.",
        ),
        (
            "off",
            "explode",
            "This lamp is off and cannot explode.",
            "From off it can: break_it, switch_on.",
        ),
    ],
)
def test_anything_else_is_refused(state: str, name: str, message: str, next_step: str) -> None:
    with pytest.raises(TransitionRefused) as refused:
        LAMP.apply(state, name)
    assert (refused.value.message, refused.value.next_step) == (message, next_step)
    assert refused.value.http_status == 409


def test_a_rule_from_a_state_that_nothing_leads_to_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no rule of lamp leads to \['lost'\]"):
        StateMachine("lamp", "off", (Rule("find", ("lost",), "off"),))


def test_two_rules_of_one_name_and_source_are_refused() -> None:
    rules = (Rule("go", ("off",), "on"), Rule("go", ("off",), "broken"))
    with pytest.raises(ValueError, match="share a name and a source"):
        StateMachine("lamp", "off", rules)


@given(RULES)
def test_a_table_is_either_refused_or_sound(rules: tuple[Rule, ...]) -> None:
    try:
        machine = StateMachine("thing", "a", rules)
    except ValueError:
        keys = [(rule.name, source) for rule in rules for source in rule.sources]
        reached, grown = {"a"}, True
        while grown:
            step = {r.target for r in rules if reached & set(r.sources)}
            grown, reached = not step <= reached, reached | step
        assert len(set(keys)) < len(keys) or {source for _, source in keys} - reached
        return
    for state in machine.states:
        for name in ("go", "stop", "turn"):
            if name in machine.allowed(state):
                assert machine.apply(state, name) in machine.states
            else:
                with pytest.raises(TransitionRefused):
                    machine.apply(state, name)
        assert (state in machine.final_states) == (not machine.allowed(state))
