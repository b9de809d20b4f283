"""Golden sets: requests with the answers a layer gave when its training ended. Light.

A golden set travels with its layer and is signed with it. Asking an engine the same requests tells
whether what arrived and was loaded is still what was trained. `trained-answers.json` is longer,
does not leave the hub, and also tells how likely the model in memory found each token or class that
it chose; gates measure export agreement on it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dizuo.core.files import write_json
from dizuo.families.base import Distribution, Engine, Scorer
from dizuo.families.errors import LayerRefused

GOLDEN_NAME = "golden.json"
TRAINED_ANSWERS_NAME = "trained-answers.json"
MAX_GOLDEN_ROWS = 16
MAX_TRAINED_ANSWERS = 512
MAX_CHOICES = 64
"""Of each trained answer, from its beginning, that are kept with their distributions."""
MAX_OUTCOMES = 20
"""Of each of these, the likeliest; those below LEAST_KEPT are left out too."""
LEAST_KEPT = 1e-4
_LOGPROB_DIGITS = 5


class ExpectedAnswer(BaseModel):
    """A request of one row, and what the model in memory said about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: dict[str, Any]
    answer: Any
    confidence: float = Field(ge=0, le=1)


class TrainedAnswer(ExpectedAnswer):
    """Also how the model in memory chose that answer.

    The first outcome of each of `choices` is the one it took: the likeliest that was allowed, and
    all outcomes have their own probabilities, whether allowed or not. `given` are the outcomes
    before the first choice that an engine must be told beside the request: a prompt's tokens.
    """

    given: tuple[int, ...] = ()
    choices: tuple[Distribution, ...] = Field(default=(), max_length=MAX_CHOICES)

    def golden(self) -> ExpectedAnswer:
        """The answer as a golden set keeps it."""
        return ExpectedAnswer(request=self.request, answer=self.answer, confidence=self.confidence)

    @field_validator("choices")
    @classmethod
    def _choices_hold(cls, choices: tuple[Distribution, ...]) -> tuple[Distribution, ...]:
        for choice in choices:
            if not 0 < len(choice.outcomes) == len(choice.logprobs):
                raise ValueError("a choice needs a log-probability for each outcome")
            if len(set(choice.outcomes)) < len(choice.outcomes):
                raise ValueError("a choice names an outcome twice")
            if not all(math.isfinite(one) and one <= 0 for one in choice.logprobs):
                raise ValueError("a log-probability is a finite number, at most 0")
        return choices


class _TrainedFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1, 2] = 2
    rows: tuple[TrainedAnswer, ...] = Field(min_length=1)


class _GoldenFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    rows: tuple[ExpectedAnswer, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Probe:
    """What asking a golden set measured; `p95_ms` is the 95th percentile of the time of one row."""

    num_rows: int
    num_agree: int
    p95_ms: float

    @property
    def agreement(self) -> float:
        """The share of rows that agree."""
        return self.num_agree / self.num_rows


def write_golden(path: Path, rows: Sequence[ExpectedAnswer]) -> None:
    """Write a golden set, in format 1."""
    file = _GoldenFile(rows=tuple(rows))
    write_json(path, file.model_dump(mode="json"))


def read_golden(layer: Path) -> tuple[ExpectedAnswer, ...]:
    """The golden set in a layer's folder.

    Raises:
        LayerRefused: it is missing, empty, or not of a format this version knows.
    """
    try:
        return _GoldenFile.model_validate_json((layer / GOLDEN_NAME).read_bytes()).rows
    except (OSError, ValidationError) as error:
        raise _unreadable(layer, GOLDEN_NAME) from error


def _unreadable(layer: Path, name: str) -> LayerRefused:
    return LayerRefused(
        f"The layer in {layer.name} has no {name} that can be read.",
        next_step="Build the layer again.",
    )


def write_trained_answers(path: Path, rows: Sequence[TrainedAnswer]) -> None:
    """Write trained answers, in format 2."""
    file = _TrainedFile(rows=tuple(rows))
    write_json(path, file.model_dump(mode="json"))


def read_trained_answers(layer: Path) -> tuple[TrainedAnswer, ...]:
    """The trained answers in a layer's folder, of format 2, or of 1, which has no choices.

    Raises:
        LayerRefused: they are missing, empty, or not of a format this version knows.
    """
    try:
        raw = (layer / TRAINED_ANSWERS_NAME).read_bytes()
        return _TrainedFile.model_validate_json(raw).rows
    except (OSError, ValidationError) as error:
        raise _unreadable(layer, TRAINED_ANSWERS_NAME) from error


def kept(outcomes: Sequence[int], logprobs: Sequence[float]) -> Distribution:
    """What is kept of a choice, given the outcome that was taken, then the likeliest others."""
    chosen = [
        (outcome, round(min(logprob, 0.0), _LOGPROB_DIGITS))
        for place, (outcome, logprob) in enumerate(
            zip(outcomes[:MAX_OUTCOMES], logprobs[:MAX_OUTCOMES], strict=True)
        )
        if place == 0 or logprob >= math.log(LEAST_KEPT)
    ]
    return Distribution(tuple(one for one, _ in chosen), tuple(one for _, one in chosen))


def probe(
    engine: Engine, served_as: str, golden: Sequence[ExpectedAnswer], scorer: Scorer
) -> Probe:
    """Ask an engine each request of a golden set, one at a time.

    Raises:
        UnknownStack: the engine does not serve that name.
    """
    num_agree, milliseconds = 0, []
    for row in golden:
        start = time.perf_counter()
        answer = engine.infer(served_as, row.request)
        milliseconds.append((time.perf_counter() - start) * 1000)
        expected = {"answer": row.answer, "confidence": row.confidence}
        num_agree += scorer.agrees(expected, answer.observations[0])
    return Probe(len(golden), num_agree, float(np.quantile(milliseconds, 0.95)))
