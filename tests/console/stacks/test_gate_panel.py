"""Figures of gate reports in words and pictures, in both languages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.console.stacks.stacks_scene import agreement, latency, not_worse, score

from dizuo.console.messages import Language, Words
from dizuo.console.stacks.gate_panel import (
    difference_text,
    interval_picture,
    limit_of,
    measured_text,
    rule_sentence,
)
from dizuo.gates.report import RuleResult, Verdict
from dizuo.gates.rules import (
    AgreementWithTrained,
    AtLeast,
    DropAtMost,
    LatencyAtMost,
    NotWorseThanIncumbent,
    Rule,
)

ENGLISH, CHINESE = Words(Language.ENGLISH), Words(Language.CHINESE)
RULES: tuple[tuple[Rule, str], ...] = (
    (AtLeast("a@1", "accuracy", 0.9), "≥ 0.9"),
    (AtLeast("a@1", "accuracy", 0.9, confidence=0.99), "≥ 0.9"),
    (NotWorseThanIncumbent("a@1", "accuracy"), "≥ −0.02"),
    (DropAtMost("a@1", "accuracy", 0.05), "≥ −0.05"),
    (AgreementWithTrained("onnx", 0.95), "≥ 95.0%"),
    (LatencyAtMost("onnx", 40.0), "≤ 40 ms"),
)


def result(rule: dict[str, Any], sentence: str = "It holds.") -> RuleResult:
    return RuleResult(rule, sentence, Verdict.CANNOT_TELL, "Nobody knows.")


@pytest.mark.parametrize(("rule", "limit"), RULES)
def test_every_rule_has_its_sentence_and_its_limit(rule: Rule, limit: str) -> None:
    found = result(rule.as_dict(), rule.sentence())
    assert rule_sentence(ENGLISH, found).removesuffix(" ms") == rule.sentence().removesuffix(" ms")
    assert rule_sentence(CHINESE, found) != rule.sentence()
    asked = limit_of(found.rule)
    assert asked is not None
    assert f"{asked.sign} {measured_text(found, asked.value)}" == limit


def test_a_rule_of_no_known_kind_is_told_as_the_report_has_it() -> None:
    found = replace(result({"luck": 7}, "It is lucky."), measured=0.5)
    assert rule_sentence(CHINESE, found) == "It is lucky."
    assert limit_of(found.rule) is None
    assert interval_picture(ENGLISH, found) == ""


def test_figures_have_their_units() -> None:
    assert measured_text(score("a@1", 0.9123456), 0.9123456) == "0.9123"
    assert measured_text(not_worse("a@1", "b:1"), -0.0125) == "−0.0125"
    assert measured_text(not_worse("a@1", "b:1"), -0.0) == "+0"
    assert measured_text(agreement(), 0.987) == "98.7%"
    assert measured_text(latency(), 1234.56) == "1,235 ms"
    assert measured_text(latency(), None) == "–"


def test_differences_have_them_too() -> None:
    assert difference_text(score("a@1", 0.9), -0.05) == "−0.05"
    assert difference_text(agreement(), 0.01) == "+1.0%"
    assert difference_text(latency(), 20.0) == "+20 ms"
    assert difference_text(latency(), 0.0) == "0"
    assert difference_text(latency(), None) == "–"


def test_a_picture_needs_something_measured() -> None:
    assert interval_picture(ENGLISH, replace(latency(), measured=None)) == ""
    drawn = str(interval_picture(ENGLISH, score("a@1", 0.86)))
    assert "Measured 0.86, threshold ≥ 0.9" in drawn
    assert "tone-bad" in drawn
    flat = replace(latency(), measured=400.0)
    assert "NaN" not in interval_picture(CHINESE, flat)
