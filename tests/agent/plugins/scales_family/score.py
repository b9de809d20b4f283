"""Metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dizuo.families.base import Observation

METRICS = ("accuracy",)


def score(metric: str, answers: Sequence[Any], truths: Sequence[Any]) -> float:
    return float(sum(a == t for a, t in zip(answers, truths, strict=True)) / len(truths))


def agrees(expected: Mapping[str, Any], observed: Observation) -> bool:
    near = abs(expected["confidence"] - observed.confidence) < 1e-6
    return bool(expected["answer"] == observed.answer and near)
