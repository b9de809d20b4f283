"""From answers to intervals, for any metric of any family.

Most metrics are a mean over rows (accuracy, exact match); that is found out by scoring row by row
and comparing, and makes the intervals fast and, for right-or-wrong rows, Wilson's. Others (macro
F1, balanced accuracy) are scored anew on each resample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dizuo.families.base import Observation, Scorer
from dizuo.gates.bootstrap import Interval, bootstrap_mean, bootstrap_score, wilson
from dizuo.gates.errors import CannotMeasure
from dizuo.gates.measure import Suite
from dizuo.gates.report import WorstExample

MAX_WORST = 10
_SAME = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of one family, and how sure to be of it."""

    scorer: Scorer
    name: str
    confidence: float
    seed: int

    def of(self, answers: Sequence[Any], truths: Sequence[Any]) -> float:
        """The metric.

        Raises:
            CannotMeasure: the scorer returned something that is not a score.
        """
        value = self.scorer.score(self.name, answers, truths)
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise CannotMeasure(f"The metric {self.name} returned {value}, not 0 to 1.")
        return float(value)

    def per_row(self, answers: Sequence[Any], truths: Sequence[Any]) -> Floats | None:
        """A score for each row whose mean is the metric; None if the metric is not such a mean.

        A metric can equal its rows' mean by chance on one set of rows (balanced accuracy does where
        classes are balanced), so the mean is also tried on the rows without one label.
        """
        rows = [self.of([a], [t]) for a, t in zip(answers, truths, strict=True)]
        scores = np.array(rows, dtype=np.float64)
        parts = [np.arange(len(rows)), np.arange(1 + len(rows) // 2), _uneven(truths)]
        for part in parts:
            whole = self.of([answers[i] for i in part], [truths[i] for i in part])
            if abs(whole - float(scores[part].mean())) > _SAME:
                return None
        return scores


def _uneven(truths: Sequence[Any]) -> NDArray[np.intp]:
    """The rows with one truth occurring once and all others as often as they do."""
    first = str(truths[0])
    kept = [0] + [i for i, truth in enumerate(truths) if i and str(truth) != first]
    return np.array(kept, dtype=np.intp)


def score_interval(metric: Metric, answers: Sequence[Any], truths: Sequence[Any]) -> Interval:
    """The metric over paired answers and truths with its interval.

    Raises:
        CannotMeasure: the scorer returned something that is not a score.
    """
    rows = metric.per_row(answers, truths)
    if rows is None:
        return bootstrap_score(
            lambda drawn: metric.of([answers[i] for i in drawn], [truths[i] for i in drawn]),
            len(truths),
            metric.confidence,
            seed=metric.seed,
        )
    if np.all((rows == 0) | (rows == 1)):
        return wilson(int(rows.sum()), rows.size, metric.confidence)
    return bootstrap_mean(rows.tolist(), metric.confidence, seed=metric.seed)


def difference_interval(
    metric: Metric, answers: Sequence[Any], others: Sequence[Any], truths: Sequence[Any]
) -> Interval:
    """The metric of `answers` minus that of `others`, both over the same rows, with its interval.

    Raises:
        CannotMeasure: the scorer returned something that is not a score.
    """
    mine, theirs = metric.per_row(answers, truths), metric.per_row(others, truths)
    if mine is not None and theirs is not None:
        return bootstrap_mean((mine - theirs).tolist(), metric.confidence, seed=metric.seed)

    def difference(drawn: NDArray[np.intp]) -> float:
        right = [truths[i] for i in drawn]
        ours = metric.of([answers[i] for i in drawn], right)
        return ours - metric.of([others[i] for i in drawn], right)

    return bootstrap_score(difference, len(truths), metric.confidence, seed=metric.seed)


def worst_examples(
    metric: Metric, suite: Suite, observations: Sequence[Observation]
) -> tuple[WorstExample, ...]:
    """The rows with the lowest scores below 1, the surest of them first.

    Raises:
        CannotMeasure: the scorer returned something that is not a score.
    """
    wrong = []
    for row, truth, seen in zip(suite.rows, suite.truths, observations, strict=True):
        score = metric.of([seen.answer], [truth])
        if score < 1:
            example = WorstExample(
                row.row_digest, row.source, seen.answer, truth, float(seen.confidence)
            )
            wrong.append((score, -example.confidence, example.row, example))
    return tuple(example for *_, example in sorted(wrong, key=lambda entry: entry[:3])[:MAX_WORST])
