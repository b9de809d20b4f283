"""Intervals: known values, order, width, and what they promise about coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizuo.gates.bootstrap import (
    NUM_RESAMPLES,
    bootstrap_mean,
    bootstrap_score,
    wilson,
)

SLOWLY = settings(max_examples=40, deadline=None)
CONFIDENCES = st.floats(0.55, 0.99)
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def test_wilson_has_the_value_of_its_formula() -> None:
    # 81 of 263, 95%: the worked example of Newcombe, Statistics in Medicine 17 (1998), table I.
    found = wilson(81, 263, 0.95)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    assert found.point == 81 / 263


@settings(deadline=None)
@given(st.integers(1, 5000), st.data(), CONFIDENCES)
def test_wilson_holds_its_point_and_stays_within_0_and_1(
    rows: int, data: st.DataObject, confidence: float
) -> None:
    right = data.draw(st.integers(0, rows))
    found = wilson(right, rows, confidence)
    assert 0 <= found.low <= found.point <= found.high <= 1
    assert found.low < found.high


@settings(deadline=None)
@given(st.integers(2, 400), st.data())
def test_wilson_rises_with_each_right_row(rows: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, rows - 1))
    fewer, more = wilson(right, rows, 0.95), wilson(right + 1, rows, 0.95)
    assert fewer.low < more.low
    assert fewer.high < more.high


@settings(deadline=None)
@given(st.integers(1, 200), st.data(), CONFIDENCES)
def test_wilson_narrows_with_more_rows(rows: int, data: st.DataObject, confidence: float) -> None:
    right = data.draw(st.integers(0, rows))
    few, many = wilson(right, rows, confidence), wilson(4 * right, 4 * rows, confidence)
    assert many.high - many.low < few.high - few.low


@settings(deadline=None)
@given(st.integers(1, 200), st.data())
def test_wilson_widens_with_confidence(rows: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, rows))
    less, more = wilson(right, rows, 0.8), wilson(right, rows, 0.99)
    assert more.low <= less.low
    assert less.high <= more.high


def test_wilson_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).binomial(200, 0.93, 2000)
    covered = [i.low <= 0.93 <= i.high for i in (wilson(int(n), 200, 0.95) for n in draws)]
    assert 0.93 <= np.mean(covered) <= 0.975


@pytest.mark.parametrize(("right", "rows"), [(0, 0), (2, 1), (-1, 5)])
def test_wilson_refuses_what_is_no_proportion(right: int, rows: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        wilson(right, rows, 0.95)


@SLOWLY
@given(SCORES, CONFIDENCES, st.integers(0, 2**32))
def test_a_mean_lies_within_its_interval_and_the_seed_decides_it(
    rows: list[float], confidence: float, seed: int
) -> None:
    found = bootstrap_mean(rows, confidence, seed=seed)
    assert found.low < found.point < found.high
    assert found.point == pytest.approx(math.fsum(rows) / len(rows))
    assert found == bootstrap_mean(rows, confidence, seed=seed)


@SLOWLY
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=80), CONFIDENCES)
def test_swapping_the_two_stacks_mirrors_the_difference(
    rows: list[float], confidence: float
) -> None:
    found = bootstrap_mean(rows, confidence, seed=5)
    swapped = bootstrap_mean([-row for row in rows], confidence, seed=5)
    assert swapped.point == -found.point
    noise = 4 / math.sqrt(NUM_RESAMPLES * len(rows)) + 2 / len(rows)  # quantiles move by a step
    assert abs(swapped.low + found.high) <= noise


@pytest.mark.parametrize("rows", [1, 5, 50, 149])
def test_rows_that_all_agree_do_not_show_that_nothing_differs(rows: int) -> None:
    """Without the rule of three the interval would be [0, 0] and pass any margin."""
    found = bootstrap_mean([0.0] * rows, 0.95, seed=0)
    assert found.low == pytest.approx(-found.high)
    assert found.low < -0.02


def test_enough_rows_that_agree_exclude_two_percent() -> None:
    assert bootstrap_mean([0.0] * 150, 0.95, seed=0).low >= -0.02


def test_both_ways_of_resampling_signs_tell_the_same() -> None:
    rows = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], 300, p=[0.1, 0.7, 0.2])
    counted = bootstrap_mean(rows.tolist(), 0.95, seed=0)
    drawn = bootstrap_mean((rows * 0.999).tolist(), 0.95, seed=0)  # no longer -1, 0 and 1
    assert counted.low == pytest.approx(drawn.low, abs=0.005)
    assert counted.high == pytest.approx(drawn.high, abs=0.005)


def test_a_paired_bootstrap_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    rows = random.choice([-1.0, 0.0, 1.0], (300, 250), p=[0.06, 0.84, 0.10])
    found = [bootstrap_mean(sample.tolist(), 0.95, seed=0) for sample in rows]
    assert 0.91 <= np.mean([i.low <= 0.04 <= i.high for i in found]) <= 0.99


def test_many_rows_are_drawn_in_bounded_pieces() -> None:
    rows = np.random.default_rng(4).random(25_000)
    found = bootstrap_mean(rows.tolist(), 0.95, seed=0)
    assert found.high - found.low == pytest.approx(2 * 1.96 * rows.std() / 25_000**0.5, rel=0.15)


def test_a_score_of_drawn_rows_equals_the_mean_where_it_is_one() -> None:
    rows = np.random.default_rng(6).random(200)
    mean = bootstrap_mean(rows.tolist(), 0.9, seed=1)
    scored = bootstrap_score(lambda drawn: float(rows[drawn].mean()), 200, 0.9, seed=1)
    assert scored.point == pytest.approx(mean.point)
    assert scored.low == pytest.approx(mean.low, abs=0.01)
    assert scored.high == pytest.approx(mean.high, abs=0.01)


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="needs rows"):
        bootstrap_mean([], 0.95, seed=0)
    with pytest.raises(ValueError, match="needs rows"):
        bootstrap_score(lambda _: 1.0, 0, 0.95, seed=0)
