"""Metrics against figures worked out by hand and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from dizuo.core.errors import InvalidInput
from dizuo.families.base import Observation
from dizuo.families.vision import score

TRUTHS = ["a", "a", "a", "b"]
ANSWERS = ["a", "a", "b", "b"]
EXPECTED = {"accuracy": 0.75, "balanced_accuracy": 5 / 6, "macro_f1": (4 / 5 + 2 / 3) / 2}


@pytest.mark.parametrize("metric", score.METRICS)
def test_by_hand(metric: str) -> None:
    assert score.score(metric, ANSWERS, TRUTHS) == pytest.approx(EXPECTED[metric])
    assert score.score(metric, TRUTHS, TRUTHS) == 1
    assert score.score(metric, ["b", "b", "b", "a"], TRUTHS) == 0


labels = st.sampled_from("abc")


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=30))
def test_against_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    answers, truths = zip(*pairs, strict=True)
    assert score.score("accuracy", answers, truths) == pytest.approx(
        accuracy_score(truths, answers)
    )
    recall = recall_score(
        truths, answers, labels=np.unique(truths), average="macro", zero_division=0
    )
    assert score.score("balanced_accuracy", answers, truths) == pytest.approx(recall)
    f1 = f1_score(truths, answers, average="macro", zero_division=0)
    assert score.score("macro_f1", answers, truths) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("metric", "answers", "truths"),
    [("rouge", ["a"], ["a"]), ("accuracy", [], []), ("accuracy", ["a"], ["a", "b"])],
)
def test_what_cannot_be_scored(metric: str, answers: list[str], truths: list[str]) -> None:
    with pytest.raises(InvalidInput):
        score.score(metric, answers, truths)


@pytest.mark.parametrize(
    ("answer", "confidence", "agrees"),
    [
        ("7", 0.9, True),
        ("7", 0.915, True),
        ("7", 0.885, True),
        ("7", 0.93, False),
        ("1", 0.9, False),
    ],
)
def test_agreement(answer: str, confidence: float, agrees: bool) -> None:
    observed = Observation(answer, confidence, 0.5, 0.5)
    assert score.agrees({"answer": "7", "confidence": 0.9}, observed) is agrees
