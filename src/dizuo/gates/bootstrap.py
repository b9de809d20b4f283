"""Intervals around what a suite measured.

- Proportions: Wilson's score interval (E. B. Wilson, "Probable inference, the law of succession,
  and statistical inference", JASA 22, 1927, pages 209-212).
- Everything else, and differences: the percentile bootstrap (B. Efron and R. J. Tibshirani, "An
  Introduction to the Bootstrap", 1993, chapter 13), on pairs where two stacks answered the same
  rows (their chapter 8: resample the units that are independent, here the rows).

A bootstrap never shows what did not occur among its rows: three rows without a difference would
"prove" that there is none. So no bootstrap interval here is narrower than what that many rows can
tell: what was seen in none of n rows still happens in up to -ln(1 - confidence) / n of them (the
rule of three: J. A. Hanley and A. Lippman-Hand, "If nothing goes wrong, is everything all right?",
JAMA 249, 1983, pages 1743-1745). The widening holds for values whose range is at most 1 and for
differences of such values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 10_000
"""For means. Efron and Tibshirani ask for at least 1,000 for percentile intervals."""
NUM_SCORED_RESAMPLES = 1_000
"""For metrics that are not a mean over rows, each resample scored anew."""
_MANY_ROWS = 20_000
_DRAWS_AT_ONCE = 1 << 22

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value with its two-sided interval, and from how many rows."""

    low: float
    point: float
    high: float
    confidence: float
    num_rows: int


def wilson(num_right: int, num_rows: int, confidence: float) -> Interval:
    """Wilson's score interval of a proportion.

    Raises:
        ValueError: there are no rows, or more right ones than rows.
    """
    if not 0 <= num_right <= num_rows or num_rows == 0:
        raise ValueError("a proportion needs rows, and no more right ones than rows")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = num_right / num_rows
    weight = z * z / num_rows
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / num_rows + weight / (4 * num_rows)) / (1 + weight)
    low = min(max(0.0, centre - half), share)  # rounding must not part the point from its interval
    return Interval(low, share, max(min(1.0, centre + half), share), confidence, num_rows)


def bootstrap_mean(values: Sequence[float], confidence: float, *, seed: int) -> Interval:
    """The mean of a value per row. For a paired difference, give the difference of each row.

    Raises:
        ValueError: there are no rows.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.size == 0:
        raise ValueError("a mean needs rows")
    if np.all((rows == 0) | (rows == 1) | (rows == -1)):
        means = _resample_signs(rows, seed)
    else:
        means = _resample_means(rows, seed)
    return _interval(means, float(rows.mean()), confidence, rows.size)


def bootstrap_score(
    score: Callable[[NDArray[np.intp]], float],
    num_rows: int,
    confidence: float,
    *,
    seed: int,
) -> Interval:
    """Any score of a set of rows; `score` takes row indices, some of them repeated. For a paired
    difference, let `score` subtract the two stacks' scores over the same indices.

    Raises:
        ValueError: there are no rows.
    """
    if num_rows == 0:
        raise ValueError("a score needs rows")
    draws = np.random.default_rng(seed).integers(0, num_rows, (NUM_SCORED_RESAMPLES, num_rows))
    scores = np.array([score(indices) for indices in draws], dtype=np.float64)
    return _interval(scores, score(np.arange(num_rows)), confidence, num_rows)


def _resample_signs(rows: Floats, seed: int) -> Floats:
    """Means of resamples of rows that are -1, 0 or 1: only how many of each were drawn counts, and
    those counts are multinomial, so a suite of any size costs the same."""
    shares = np.array([(rows == -1).mean(), (rows == 0).mean(), (rows == 1).mean()])
    counts = np.random.default_rng(seed).multinomial(rows.size, shares, NUM_RESAMPLES)
    means: Floats = (counts[:, 2] - counts[:, 0]) / rows.size
    return means


def _resample_means(rows: Floats, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    total = NUM_RESAMPLES if rows.size <= _MANY_ROWS else NUM_SCORED_RESAMPLES
    at_once = max(1, _DRAWS_AT_ONCE // rows.size)
    means = [
        rows[random.integers(0, rows.size, (min(at_once, total - done), rows.size))].mean(axis=1)
        for done in range(0, total, at_once)
    ]
    return np.concatenate(means)


def _interval(resampled: Floats, point: float, confidence: float, num_rows: int) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    unseen = -math.log1p(-confidence) / num_rows
    low, high = min(float(low), point - unseen), max(float(high), point + unseen)
    return Interval(low, point, high, confidence, num_rows)
