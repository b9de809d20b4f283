"""Gates are parsed when they are written: whatever does not parse is a problem with its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizuo.families.base import Problem
from dizuo.gates.rules import (
    MIN_AGREEMENT,
    AgreementWithTrained,
    AtLeast,
    DropAtMost,
    LatencyAtMost,
    NotWorseThanIncumbent,
    Offer,
    Rule,
    parse_gates,
)

OFFER = Offer(metrics=("exact_match", "balanced"), targets=("safetensors", "table"))
ON = {"suite": "words-test@3", "metric": "exact_match"}
PINS = st.from_regex(r"[a-z][a-z0-9]{0,8}@[1-9][0-9]{0,3}", fullmatch=True)
SHARES = st.floats(0, 1)
SURE = st.none() | st.floats(0.5, 1, exclude_min=True, exclude_max=True)
TARGETS = st.none() | st.sampled_from(["table", "gguf-q4_0"])
METRICS = st.sampled_from(["exact_match", "balanced"])
RULES: st.SearchStrategy[Rule] = st.one_of(
    st.builds(AtLeast, PINS, METRICS, SHARES, SURE, TARGETS),
    st.builds(NotWorseThanIncumbent, PINS, METRICS, SHARES, TARGETS),
    st.builds(DropAtMost, PINS, METRICS, SHARES, SURE, TARGETS),
    st.builds(AgreementWithTrained, st.just("table"), st.floats(MIN_AGREEMENT, 1)),
    st.builds(LatencyAtMost, st.just("table"), st.floats(0.1, 1e5)),
)


@pytest.mark.parametrize(
    ("gate", "rule"),
    [
        (ON | {"at_least": 0.9}, AtLeast("words-test@3", "exact_match", 0.9)),
        (ON | {"at_least": 1}, AtLeast("words-test@3", "exact_match", 1.0)),
        (
            ON | {"at_least": 0.9, "confidence": 0.95, "target": "table"},
            AtLeast("words-test@3", "exact_match", 0.9, 0.95, "table"),
        ),
        (
            ON | {"not_worse_than": "incumbent"},
            NotWorseThanIncumbent("words-test@3", "exact_match", 0.02),
        ),
        (
            ON | {"not_worse_than": "incumbent", "margin": 0},
            NotWorseThanIncumbent("words-test@3", "exact_match", 0.0),
        ),
        (ON | {"drop_at_most": 0.02}, DropAtMost("words-test@3", "exact_match", 0.02)),
        (
            {"target": "table", "agreement_with_trained_at_least": 0.98},
            AgreementWithTrained("table", 0.98),
        ),
        (
            {"target": "table", "agreement_with_trained_at_least": MIN_AGREEMENT},
            AgreementWithTrained("table", 0.85),
        ),
        ({"target": "table", "p95_latency_ms_at_most": 400}, LatencyAtMost("table", 400.0)),
    ],
)
def test_each_form_parses(gate: dict[str, Any], rule: Rule) -> None:
    assert parse_gates([gate], OFFER) == ((rule,), [])


@pytest.mark.parametrize(
    ("gate", "path", "message"),
    [
        ("accuracy", (), "A gate must be a mapping, not the text 'accuracy'."),
        (None, (), "A gate must be a mapping, not nothing."),
        ({}, (), "A gate has no condition."),
        (ON, (), "A gate has no condition."),
        (
            ON | {"at_least": 0.9, "drop_at_most": 0.1},
            (),
            "A gate has two conditions: at_least and drop_at_most.",
        ),
        (
            ON | {"at_least": 0.9, "treshold": 1},
            ("treshold",),
            "'treshold' is not a key of a gate with at_least.",
        ),
        (
            ON | {"at_least": 0.9, "margin": 0.1},
            ("margin",),
            "'margin' is not a key of a gate with at_least.",
        ),
        (ON | {"at_least": "0.9"}, ("at_least",), "'at_least' must be a number from 0 to 1"),
        (ON | {"at_least": True}, ("at_least",), "'at_least' must be a number from 0 to 1"),
        (ON | {"at_least": None}, ("at_least",), "not nothing."),
        (ON | {"at_least": [0.9]}, ("at_least",), "not a list."),
        (ON | {"at_least": 90}, ("at_least",), "not the number 90."),
        (ON | {"at_least": -0.1}, ("at_least",), "not the number -0.1."),
        (ON | {"at_least": float("nan")}, ("at_least",), "not the number nan."),
        (ON | {"at_least": 10**400}, ("at_least",), "must be a number from 0 to 1"),
        (
            ON | {"at_least": 0.9, "confidence": 1},
            ("confidence",),
            "'confidence' must be a number between 0.5 and 1",
        ),
        (ON | {"at_least": 0.9, "confidence": 0.5}, ("confidence",), "between 0.5 and 1"),
        (ON | {"not_worse_than": "parent"}, ("not_worse_than",), "cannot be 'parent'."),
        (ON | {"not_worse_than": 0.9}, ("not_worse_than",), "must be a text"),
        (ON | {"not_worse_than": "incumbent", "margin": 2}, ("margin",), "from 0 to 1"),
        (ON | {"drop_at_most": 2}, ("drop_at_most",), "from 0 to 1"),
        ({"metric": "exact_match", "at_least": 0.9}, (), "needs 'suite'."),
        ({"suite": "words-test@3", "at_least": 0.9}, (), "needs 'metric'."),
        (
            {"suite": "words-test", "metric": "exact_match", "at_least": 0.9},
            ("suite",),
            "'words-test' does not say which version.",
        ),
        (
            {"suite": "words-test@latest", "metric": "exact_match", "at_least": 0.9},
            ("suite",),
            "does not say which version.",
        ),
        ({"suite": 3, "metric": "exact_match", "at_least": 0.9}, ("suite",), "must be a text"),
        (
            {"suite": "words-test@3", "metric": "exact", "at_least": 0.9},
            ("metric",),
            "The family has no metric 'exact'.",
        ),
        (
            ON | {"at_least": 0.9, "target": "onnx"},
            ("target",),
            "The recipe builds no target 'onnx'.",
        ),
        (ON | {"at_least": 0.9, "target": "safetensors"}, ("target",), "which no engine runs."),
        ({"agreement_with_trained_at_least": 0.98}, (), "needs 'target'."),
        (
            {"target": "table", "agreement_with_trained_at_least": 98},
            ("agreement_with_trained_at_least",),
            "from 0.85 to 1",
        ),
        (
            {"target": "table", "agreement_with_trained_at_least": 0},
            ("agreement_with_trained_at_least",),
            "must be a number from 0.85 to 1, not the number 0.",
        ),
        (
            {"target": "table", "agreement_with_trained_at_least": 0.849},
            ("agreement_with_trained_at_least",),
            "from 0.85 to 1",
        ),
        (
            {"target": "table", "agreement_with_trained_at_least": 0.9, "suite": "a@1"},
            ("suite",),
            "is not a key of a gate with agreement_with_trained_at_least.",
        ),
        (
            {"target": "table", "p95_latency_ms_at_most": 0},
            ("p95_latency_ms_at_most",),
            "No request is answered within 0 ms.",
        ),
        (
            {"target": "table", "p95_latency_ms_at_most": "400ms"},
            ("p95_latency_ms_at_most",),
            "must be a number",
        ),
        ({"at_least": 0.9, "x": 1, "suite": "y", "metric": "z"}, ("x",), "is not a key"),
    ],
)
def test_what_does_not_parse_is_a_problem_with_its_place(
    gate: Any, path: tuple[str, ...], message: str
) -> None:
    rules, problems = parse_gates([ON | {"at_least": 0.5}, gate], OFFER)
    assert rules == (AtLeast("words-test@3", "exact_match", 0.5),)
    assert problems[0].path == ("gates", 1, *path)
    assert message in problems[0].message


def test_every_problem_is_told_not_the_first_alone() -> None:
    gates = [{"suite": "a", "metric": "x", "at_least": 2, "extra": 1}, {}]
    _, problems = parse_gates(gates, OFFER)
    assert [problem.path for problem in problems] == [
        ("gates", 0, "extra"),
        ("gates", 0, "suite"),
        ("gates", 0, "metric"),
        ("gates", 0, "at_least"),
        ("gates", 1),
    ]


@pytest.mark.parametrize("gates", [None, "gates", {"at_least": 1}, 3, b"x"])
def test_gates_are_a_list(gates: Any) -> None:
    rules, (problem,) = parse_gates(gates, OFFER)
    assert rules == ()
    assert problem.path == ("gates",)


def test_there_is_a_bound_on_how_many() -> None:
    _, (problem,) = parse_gates([ON | {"at_least": 0.5}] * 101, OFFER)
    assert problem.message == "There are 101 gates; at most 100 are run."


def test_a_base_has_no_parent_to_drop_from() -> None:
    _, (problem,) = parse_gates([ON | {"drop_at_most": 0.1}], Offer(has_parent=False))
    assert problem.path == ("gates", 0, "drop_at_most")


def test_where_the_family_is_unknown_only_the_form_is_checked() -> None:
    rules, problems = parse_gates([{"suite": "a@1", "metric": "anything", "at_least": 0.1}])
    assert (len(rules), problems) == (1, [])


def test_a_close_word_is_offered() -> None:
    _, (problem,) = parse_gates([ON | {"at_least": 0.9, "confidnce": 0.9}], OFFER)
    assert problem == Problem(
        ("gates", 0, "confidnce"),
        "'confidnce' is not a key of a gate with at_least.",
        "Did you mean 'confidence'?",
    )


@settings(deadline=None)
@given(st.lists(RULES, max_size=5))
def test_what_a_rule_writes_parses_to_the_same_rule(rules: list[Rule]) -> None:
    written = [rule.as_dict() for rule in rules]
    # A limit of 0 ms and a share of -0.0 aside, the written form says everything.
    assert parse_gates(written) == (tuple(rules), [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["suite", "metric", "at_least", "drop_at_most", "target", "margin", "x"])


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON, max_size=5) | JSON, max_size=4))
def test_nothing_a_person_writes_raises_and_each_gate_is_a_rule_or_a_problem(
    gates: list[Any],
) -> None:
    rules, problems = parse_gates(gates, OFFER)
    wrong = {problem.path[1] for problem in problems}
    assert len(rules) + len(wrong) == len(gates)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (AtLeast("a@1", "exact_match", 0.9), "exact_match on a@1 is at least 0.9"),
        (
            AtLeast("a@1", "exact_match", 0.9, 0.95),
            "exact_match on a@1 is at least 0.9 at 95% confidence",
        ),
        (
            NotWorseThanIncumbent("a@1", "exact_match"),
            "exact_match on a@1 is not below the incumbent's by more than 0.02",
        ),
        (
            DropAtMost("a@1", "exact_match", 0.02, 0.9),
            "exact_match on a@1 drops by at most 0.02 from the parent's at 90% confidence",
        ),
        (
            AgreementWithTrained("onnx", 0.98),
            "onnx answers as the trained model did on at least 98.0%",
        ),
        (LatencyAtMost("onnx", 400), "onnx answers 19 of 20 single requests within 400 ms"),
    ],
)
def test_each_rule_says_what_it_asks_for(rule: Rule, sentence: str) -> None:
    assert rule.sentence() == sentence
