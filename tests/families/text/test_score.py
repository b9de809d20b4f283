"""Metrics of text answers."""

from __future__ import annotations

from typing import Any

import pytest

from dizuo.core.errors import InvalidInput
from dizuo.families.base import Observation
from dizuo.families.text.score import METRICS, agrees, score

TRUTH = {"category": "排水", "place": "人民路9号"}


@pytest.mark.parametrize(
    ("metric", "answer", "truth", "expected"),
    [
        ("exact_match", {"place": "人民路9号", "category": "排水"}, TRUTH, 1.0),
        ("exact_match", {**TRUTH, "extra": 1}, TRUTH, 0.0),
        ("exact_match", "是 ", "是", 1.0),
        ("exact_match", "1", 1, 0.0),
        ("field_accuracy", {**TRUTH, "place": "x"}, TRUTH, 0.5),
        ("field_accuracy", {**TRUTH, "extra": 1}, TRUTH, 2 / 3),
        ("field_accuracy", "no object", TRUTH, 0.0),
        ("field_accuracy", "same", "same", 1.0),
        ("character_f1", "abc", "abd", 2 / 3),
        ("character_f1", "A b", "ab", 1.0),
        ("character_f1", "", "", 1.0),
        ("character_f1", "", "x", 0.0),
        ("valid_json", TRUTH, TRUTH, 1.0),
        ("valid_json", "{broken", TRUTH, 0.0),
    ],
)
def test_one_answer(metric: str, answer: Any, truth: Any, expected: float) -> None:
    assert score(metric, [answer], [truth]) == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_many_answers_score_their_mean(metric: str) -> None:
    answers, truths = [TRUTH, "x", {"place": "y"}], [TRUTH, "y", TRUTH]
    rows = [score(metric, [a], [t]) for a, t in zip(answers, truths, strict=True)]
    assert score(metric, answers, truths) == pytest.approx(sum(rows) / 3)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no metric 'bleu'"):
        score("bleu", ["x"], ["x"])
    with pytest.raises(InvalidInput, match="no pairs"):
        score("exact_match", [], [])
    with pytest.raises(InvalidInput, match="no pairs"):
        score("exact_match", ["x"], ["x", "y"])


@pytest.mark.parametrize(
    ("answer", "confidence", "expected"),
    [(TRUTH, 0.85, True), (TRUTH, 0.75, False), ({**TRUTH, "place": "x"}, 0.9, False)],
)
def test_agreement_is_of_answer_and_confidence(
    answer: Any, confidence: float, expected: bool
) -> None:
    said = {"answer": TRUTH, "confidence": 0.9}
    assert agrees(said, Observation(answer, confidence, 0.5, 0.5)) is expected
