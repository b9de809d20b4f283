from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dizuo.families.base import Observation

METRICS: tuple[str, ...] = ("exact_match",)


def score(metric: str, answers: Sequence[Any], truths: Sequence[Any]) -> float:
    pairs = zip(answers, truths, strict=True)
    return float(sum(answer == truth for answer, truth in pairs) / len(truths))


def agrees(expected: Mapping[str, Any], observed: Observation) -> bool:
    return bool(expected["answer"] == observed.answer)
