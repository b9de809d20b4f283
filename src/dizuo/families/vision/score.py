"""Metrics of image classification, and what counts as the same answer. Light."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dizuo.core.errors import InvalidInput
from dizuo.families.base import Observation

CONFIDENCE_TOLERANCE = 0.02
"""How far a confidence may be from the expected one and still agree. Half-precision adapters moved
it by at most 0.0002 in the demo; the rest is room for the arithmetic of other processors."""


def _accuracy(answers: NDArray[np.str_], truths: NDArray[np.str_]) -> float:
    return float((answers == truths).mean())


def _balanced_accuracy(answers: NDArray[np.str_], truths: NDArray[np.str_]) -> float:
    """The mean recall over the labels that occur in the truth (Brodersen et al. 2010)."""
    recalls = [(answers[truths == label] == label).mean() for label in np.unique(truths)]
    return float(np.mean(recalls))


def _macro_f1(answers: NDArray[np.str_], truths: NDArray[np.str_]) -> float:
    """The mean, over the labels in truths or answers, of 2 TP / (2 TP + FP + FN)."""
    scores = []
    for label in np.union1d(answers, truths):
        hits = float(np.sum((answers == label) & (truths == label)))
        scores.append(2 * hits / float(np.sum(answers == label) + np.sum(truths == label)))
    return float(np.mean(scores))


_METRICS: Mapping[str, Callable[[NDArray[np.str_], NDArray[np.str_]], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
}
METRICS: tuple[str, ...] = tuple(_METRICS)


def score(metric: str, answers: Sequence[Any], truths: Sequence[Any]) -> float:
    """The metric over paired answers and truths (labels), 0 (worst) to 1 (best).

    Raises:
        InvalidInput: there is no such metric, or there is nothing to score.
    """
    if metric not in _METRICS:
        raise InvalidInput(
            f"The vision family has no metric {metric!r}.",
            next_step=f"Its metrics: {', '.join(METRICS)}.",
        )
    if not truths or len(answers) != len(truths):
        raise InvalidInput("There are no pairs of answers and truths to score.")
    return _METRICS[metric](np.asarray(answers, dtype=str), np.asarray(truths, dtype=str))


def agrees(expected: Mapping[str, Any], observed: Observation) -> bool:
    """Whether label and confidence are the expected ones, within CONFIDENCE_TOLERANCE."""
    difference = abs(float(expected["confidence"]) - observed.confidence)
    return bool(expected["answer"] == observed.answer and difference <= CONFIDENCE_TOLERANCE)
