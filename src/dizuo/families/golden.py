"""Golden sets: requests with the answers a layer gave when its training ended. Light.

A golden set travels with its layer and is signed with it. Asking an engine the same requests tells
whether what arrived and was loaded is still what was trained. `trained-answers.json` has the same
form and is longer; gates measure export agreement on it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dizuo.core.files import write_json
from dizuo.families.base import Engine, Scorer
from dizuo.families.errors import LayerRefused

GOLDEN_NAME = "golden.json"
TRAINED_ANSWERS_NAME = "trained-answers.json"
MAX_GOLDEN_ROWS = 16
MAX_TRAINED_ANSWERS = 512


class ExpectedAnswer(BaseModel):
    """A request of one row, and what the model in memory said about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: dict[str, Any]
    answer: Any
    confidence: float = Field(ge=0, le=1)


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
    """Write a golden set, or trained answers, in format 1."""
    file = _GoldenFile(rows=tuple(rows))
    write_json(path, file.model_dump(mode="json"))


def read_golden(layer: Path, name: str = GOLDEN_NAME) -> tuple[ExpectedAnswer, ...]:
    """The golden set in a layer's folder; with `name` TRAINED_ANSWERS_NAME, the trained answers.

    Raises:
        LayerRefused: it is missing, empty, or not of a format this version knows.
    """
    try:
        return _GoldenFile.model_validate_json((layer / name).read_bytes()).rows
    except (OSError, ValidationError) as error:
        raise LayerRefused(
            f"The layer in {layer.name} has no {name} that can be read.",
            next_step="Build the layer again.",
        ) from error


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
