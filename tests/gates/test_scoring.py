"""Intervals for metrics that are a mean over rows, for those that are not, and for broken ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gates.tally import score as tally

from dizuo.datasets.model import StoredRow
from dizuo.families.base import Observation
from dizuo.gates.bootstrap import wilson
from dizuo.gates.errors import CannotMeasure
from dizuo.gates.measure import Suite
from dizuo.gates.scoring import (
    MAX_WORST,
    Metric,
    difference_interval,
    score_interval,
    worst_examples,
)


def metric(name: str, confidence: float = 0.95) -> Metric:
    return Metric(tally, name, confidence, seed=3)


LABELS = st.lists(st.sampled_from("abc"), min_size=1, max_size=40)


def test_right_or_wrong_rows_get_wilsons_interval() -> None:
    truths = ["a", "b"] * 50
    answers = ["a", "b"] * 45 + ["z", "z"] * 5
    assert score_interval(metric("exact_match"), answers, truths) == wilson(90, 100, 0.95)


def test_graded_rows_get_a_bootstrap() -> None:
    truths, answers = ["a", "b", "c"] * 40, ["a", "c", "e"] * 40
    found = score_interval(metric("closeness"), answers, truths)
    assert found.point == pytest.approx((1 + 25 / 26 + 24 / 26) / 3)
    assert found.low < found.point < found.high


def test_a_metric_that_is_no_mean_over_rows_is_scored_on_each_resample() -> None:
    """Nine in ten are `a` and all answers are `a`: exact match 0.9, balanced 0.5."""
    truths, answers = ["a"] * 90 + ["b"] * 10, ["a"] * 100
    assert metric("balanced").per_row(answers, truths) is None
    found = score_interval(metric("balanced"), answers, truths)
    assert found.point == 0.5
    assert found.low <= 0.5 <= found.high < 0.9


def test_a_metric_that_equals_a_mean_by_chance_is_found_out() -> None:
    """With as many `a` as `b`, in turns, balanced recall equals exact match on all rows and on the
    first half of them, but not once one label is rare."""
    truths = ["a", "b"] * 50
    answers = ["a" if index % 5 else "b" for index in range(100)]
    assert metric("balanced").of(answers, truths) == metric("exact_match").of(answers, truths)
    assert metric("balanced").per_row(answers, truths) is None


@settings(deadline=None)
@given(LABELS, st.data())
def test_a_mean_over_rows_is_recognised(truths: list[str], data: st.DataObject) -> None:
    same_length = st.lists(st.sampled_from("abc"), min_size=len(truths), max_size=len(truths))
    answers = data.draw(same_length)
    rows = metric("exact_match").per_row(answers, truths)
    assert rows is not None
    assert rows.tolist() == [float(a == t) for a, t in zip(answers, truths, strict=True)]


def test_a_difference_is_paired() -> None:
    """Both stacks err on ten rows. Where these are the same rows the difference is certain to be
    small; where they are not, it is not. Unpaired intervals could not tell the two apart."""
    truths = ["a"] * 200
    one = ["z"] * 10 + ["a"] * 190
    same = difference_interval(metric("exact_match"), one, list(one), truths)
    apart = difference_interval(metric("exact_match"), one, one[::-1], truths)
    assert same.point == apart.point == 0
    assert same.high - same.low < apart.high - apart.low


def test_a_difference_of_a_metric_that_is_no_mean_is_paired_too() -> None:
    truths = ["a"] * 60 + ["b"] * 20
    mine, theirs = ["a"] * 60 + ["b"] * 20, ["a"] * 80
    found = difference_interval(metric("balanced"), mine, theirs, truths)
    assert found.point == 0.5
    assert 0.4 < found.low <= 0.5 <= found.high < 0.6


def test_a_metric_outside_0_to_1_measures_nothing() -> None:
    with pytest.raises(CannotMeasure, match=r"broken returned 7\.0"):
        score_interval(metric("broken"), ["a"], ["a"])


def suite(truths: list[str]) -> Suite:
    rows = tuple(
        StoredRow(f"sha256:{i:064x}", f"sha256:{i:064x}", f"line {i}", {"text": str(i)})
        for i in range(len(truths))
    )
    return Suite("sha256:" + "0" * 64, rows, tuple(truths))


def seen(answer: str, confidence: float) -> Observation:
    return Observation(answer, confidence, 0.5, 0.5)


def test_the_worst_rows_are_the_surest_wrong_ones() -> None:
    answers = [seen("a", 0.9), seen("z", 0.2), seen("y", 0.8), seen("x", 0.8)]
    found = worst_examples(metric("exact_match"), suite(["a"] * 4), answers)
    assert [(example.source, example.confidence) for example in found] == [
        ("line 2", 0.8),
        ("line 3", 0.8),
        ("line 1", 0.2),
    ]
    assert (found[0].answer, found[0].truth) == ("y", "a")


def test_there_is_a_bound_on_examples() -> None:
    truths = ["a"] * 40
    found = worst_examples(metric("exact_match"), suite(truths), [seen("z", 0.5)] * 40)
    assert len(found) == MAX_WORST
