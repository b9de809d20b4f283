"""Metrics of text answers, and what counts as the same answer. Light."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dizuo.core.digests import canonical_json
from dizuo.core.errors import InvalidInput
from dizuo.families.base import Observation

CONFIDENCE_TOLERANCE = 0.1
"""How far a confidence may be from the expected one and still agree; quantised weights move it."""


def _exact_match(answer: Any, truth: Any) -> float:
    return float(_canonical(answer) == _canonical(truth))


def _field_accuracy(answer: Any, truth: Any) -> float:
    """The share of an object's fields that are right, a field that should not be there counting
    as wrong; for other answers as exact match."""
    if not isinstance(truth, Mapping) or not truth:
        return _exact_match(answer, truth)
    if not isinstance(answer, Mapping):
        return 0.0
    names = set(truth) | set(answer)
    right = [
        name
        for name in names
        if name in truth and name in answer and _canonical(truth[name]) == _canonical(answer[name])
    ]
    return len(right) / len(names)


def _character_f1(answer: Any, truth: Any) -> float:
    """F1 over characters without spaces, as SQuAD's F1 is over words (Rajpurkar et al. 2016);
    characters, because Chinese has no spaces between words."""
    mine, right = _characters(answer), _characters(truth)
    if not mine or not right:
        return float(mine == right)
    shared = sum((mine & right).values())
    return 2 * shared / (mine.total() + right.total())


def _characters(answer: Any) -> Counter[str]:
    text = answer if isinstance(answer, str) else _canonical(answer).decode()
    return Counter("".join(text.split()).casefold())


def _valid_json(answer: Any, _truth: Any) -> float:
    return float(isinstance(answer, dict | list))


def _canonical(value: Any) -> bytes:
    return canonical_json(value.strip() if isinstance(value, str) else value)


_METRICS: Mapping[str, Callable[[Any, Any], float]] = {
    "exact_match": _exact_match,
    "field_accuracy": _field_accuracy,
    "character_f1": _character_f1,
    "valid_json": _valid_json,
}
METRICS: tuple[str, ...] = tuple(_METRICS)


def score(metric: str, answers: Sequence[Any], truths: Sequence[Any]) -> float:
    """The mean of the metric over paired answers and truths, 0 (worst) to 1 (best).

    Raises:
        InvalidInput: there is no such metric, or there is nothing to score.
    """
    if metric not in _METRICS:
        raise InvalidInput(
            f"The text family has no metric {metric!r}.",
            next_step=f"Its metrics: {', '.join(METRICS)}.",
        )
    if not truths or len(answers) != len(truths):
        raise InvalidInput("There are no pairs of answers and truths to score.")
    rows = [_METRICS[metric](a, t) for a, t in zip(answers, truths, strict=True)]
    return sum(rows) / len(rows)


def agrees(expected: Mapping[str, Any], observed: Observation) -> bool:
    """Whether the answer is the expected one, and the confidence within CONFIDENCE_TOLERANCE."""
    difference = abs(float(expected["confidence"]) - observed.confidence)
    same = _canonical(expected["answer"]) == _canonical(observed.answer)
    return same and difference <= CONFIDENCE_TOLERANCE
