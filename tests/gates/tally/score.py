from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dizuo.families.base import Observation

METRICS: tuple[str, ...] = ("exact_match", "closeness", "balanced", "broken")


def score(metric: str, answers: Sequence[Any], truths: Sequence[Any]) -> float:
    if metric == "broken":
        return 7.0
    pairs = list(zip(answers, truths, strict=True))
    if metric == "exact_match":
        return float(sum(answer == truth for answer, truth in pairs) / len(pairs))
    if metric == "closeness":  # how far along the alphabet an answer is from the truth
        return sum(1 - abs(ord(a) - ord(t)) / 26 for a, t in pairs) / len(pairs)
    labels = sorted(set(truths))
    recalls = [
        sum(a == label for a, t in pairs if t == label) / sum(t == label for _, t in pairs)
        for label in labels
    ]
    return float(sum(recalls) / len(recalls))


def agrees(expected: Mapping[str, Any], observed: Observation) -> bool:
    return bool(expected["answer"] == observed.answer)
