"""What the confidence of a written answer is worth, and what looks new. Light.

Confidence: the probability that the whole answer is right, by logistic regression on three figures
of its tokens (mean and least log-probability, mean entropy), fitted on rows held out of training
with Platt's smoothed targets (Platt 1999, *Probabilistic Outputs for Support Vector Machines*).
Novelty: the distance of the prompt's embedding by the bare base to the nearest of a few prototypes,
chosen so that no training row is far from one (Gonzalez 1985, *Clustering to Minimize the Maximum
Intercluster Distance*). Both are also told as percentiles among the held-out rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dizuo.core.files import write_json
from dizuo.families.errors import LayerRefused
from dizuo.families.quantiles import (
    NUM_QUANTILES,
    Floats,
    halved,
    pack,
    percentiles,
    quantiles,
    unpack,
)

FILE_NAME = "calibration.json"
TOP_LOGPROBS = 5
"""How many of the likeliest tokens a token's entropy is taken from; the others count as one."""
NUM_PROTOTYPES = 16
_RIDGE = 1.0
_STEPS = 50
_SURE = 1e-6

Quantiles = Annotated[list[float], Field(min_length=NUM_QUANTILES, max_length=NUM_QUANTILES)]


@dataclass(frozen=True, slots=True)
class Token:
    """One written piece: its log-probability, and the entropy of what could have stood there, in
    nats, from the TOP_LOGPROBS likeliest."""

    logprob: float
    entropy: float


def token_of(logprob: float, top_logprobs: Sequence[float]) -> Token:
    """A token from its log-probability and those of the likeliest, of which the rest is one."""
    shares = [math.exp(min(value, 0.0)) for value in top_logprobs[:TOP_LOGPROBS]]
    shares.append(max(0.0, 1.0 - sum(shares)))
    entropy = -sum(share * math.log(share) for share in shares if share > _SURE)
    return Token(min(logprob, 0.0), entropy)


def figures(tokens: Sequence[Token]) -> Floats:
    """Mean and least log-probability and mean entropy of an answer, shape (3); zeros for none."""
    if not tokens:
        return np.zeros(3, dtype=np.float32)
    logprobs = [token.logprob for token in tokens]
    entropy = sum(token.entropy for token in tokens) / len(tokens)
    return np.array([sum(logprobs) / len(logprobs), min(logprobs), entropy], dtype=np.float32)


class CalibrationFile(BaseModel):
    """`calibration.json`, format 1. Prototypes and scales are base64 of little-endian halves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    source: Literal["held-out", "generated"]
    num_rows: Annotated[int, Field(ge=1)]
    weights: Annotated[list[float], Field(min_length=4, max_length=4)]
    confidence_quantiles: Quantiles
    novelty_prototypes: str
    novelty_scales: str
    novelty_quantiles: Quantiles


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of one layer.

    `weights` are the intercept and one for each figure; `prototypes` has shape (k, d), `scales`
    (d): the reciprocal standard deviations.
    """

    weights: Floats
    confidence_quantiles: Floats
    prototypes: Floats
    scales: Floats
    novelty_quantiles: Floats

    def confidences(self, rows: Floats) -> Floats:
        """The probability that an answer is right, from figures of shape (rows, 3)."""
        return _logistic(_with_intercept(rows) @ self.weights)

    def novelty(self, embeddings: Floats) -> Floats:
        """Distance to the nearest prototype per dimension, shape (rows)."""
        return _nearest(embeddings, self.prototypes, self.scales)

    def confidence_percentiles(self, confidences: Floats) -> Floats:
        """The share of held-out rows that were less sure, 0 to 1."""
        return percentiles(confidences, self.confidence_quantiles)

    def novelty_percentiles(self, embeddings: Floats) -> Floats:
        """The share of held-out rows that were nearer to what was learned, 0 to 1."""
        return percentiles(self.novelty(embeddings), self.novelty_quantiles)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a model says about some rows: figures of its answers (rows, 3), which of them are right
    (rows), and the base's embeddings of the prompts (rows, d)."""

    figures: Floats
    right: NDArray[np.bool_]
    embeddings: Floats


def fit(trained: Floats, held_out: Evidence, path: Path) -> Calibration:
    """Fit a calibration and write it: prototypes from the embeddings of trained rows, the rest from
    held-out ones."""
    weights = _regression(held_out.figures, held_out.right)
    return _write(weights, trained, held_out, "held-out", path)


def fit_unlabelled(seen: Evidence, path: Path) -> Calibration:
    """The calibration of a model that comes without data: its confidence is the geometric mean of
    its tokens' probabilities near certainty, percentiles are among generated prompts."""
    weights = np.array([4.0, 4.0, 0.0, 0.0], dtype=np.float32)
    return _write(weights, seen.embeddings, seen, "generated", path)


def _write(
    weights: Floats,
    learned: Floats,
    seen: Evidence,
    source: Literal["held-out", "generated"],
    path: Path,
) -> Calibration:
    scales = 1 / np.sqrt(learned.astype(np.float64).var(axis=0) + 1e-6)
    rounded_scales = halved(scales.astype(np.float32))
    chosen = halved(_prototypes(learned, rounded_scales))
    file = CalibrationFile(
        source=source,
        num_rows=len(seen.figures),
        weights=[float(f"{weight:.6g}") for weight in weights],
        confidence_quantiles=quantiles(_logistic(_with_intercept(seen.figures) @ weights)),
        novelty_prototypes=pack(chosen),
        novelty_scales=pack(rounded_scales),
        novelty_quantiles=quantiles(_nearest(seen.embeddings, chosen, rounded_scales)),
    )
    write_json(path, file.model_dump())
    return _loaded(file)


def read(directory: Path) -> Calibration:
    """The calibration in a layer's folder.

    Raises:
        LayerRefused: it is missing, or not of format 1.
    """
    try:
        raw = (directory / FILE_NAME).read_bytes()
        return _loaded(CalibrationFile.model_validate_json(raw))
    except (OSError, ValueError, ValidationError) as error:
        raise LayerRefused(
            f"The layer in {directory.name} has no {FILE_NAME} that can be read.",
            next_step="Build the layer again.",
        ) from error


def _loaded(file: CalibrationFile) -> Calibration:
    scales = unpack(file.novelty_scales)
    return Calibration(
        weights=np.asarray(file.weights, dtype=np.float32),
        confidence_quantiles=np.asarray(file.confidence_quantiles, dtype=np.float32),
        prototypes=unpack(file.novelty_prototypes).reshape(-1, scales.size),
        scales=scales,
        novelty_quantiles=np.asarray(file.novelty_quantiles, dtype=np.float32),
    )


def _with_intercept(rows: Floats) -> Floats:
    return np.concatenate([np.ones((len(rows), 1), dtype=np.float32), rows], axis=1)


def _logistic(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), dtype=np.float32)


def _regression(rows: Floats, right: NDArray[np.bool_]) -> Floats:
    """Logistic regression with a ridge on all but the intercept, by Newton's method.

    Targets are (n₊+1)/(n₊+2) and 1/(n₋+2) instead of 1 and 0: thirty right answers are no proof
    that there will be no wrong one.
    """
    inputs = _with_intercept(rows).astype(np.float64)
    num_right = int(right.sum())
    high, low = (num_right + 1) / (num_right + 2), 1 / (len(right) - num_right + 2)
    aims = np.where(right, high, low)
    ridge = np.diag([1e-6, _RIDGE, _RIDGE, _RIDGE])
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        shares = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (shares - aims) + ridge @ weights
        curvature = (inputs * (shares * (1 - shares))[:, None]).T @ inputs + ridge
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if float(np.abs(step).max()) < 1e-9:
            break
    return weights.astype(np.float32)


def _distances(embeddings: Floats, prototypes: Floats, scales: Floats) -> Floats:
    """sqrt(mean((e - p)² · scale²)), shape (rows, k), by the expanded square."""
    rows, centres = embeddings * scales, prototypes * scales
    squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ centres.T + (centres**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares, 0) / rows.shape[1]), dtype=np.float32)


def _nearest(embeddings: Floats, prototypes: Floats, scales: Floats) -> Floats:
    return np.asarray(_distances(embeddings, prototypes, scales).min(axis=1), dtype=np.float32)


def _prototypes(learned: Floats, scales: Floats) -> Floats:
    """At most NUM_PROTOTYPES rows: the one nearest to the mean, then always the farthest yet."""
    mean = learned.mean(axis=0, keepdims=True)
    chosen = [int(_distances(learned, mean, scales)[:, 0].argmin())]
    nearest = _distances(learned, learned[chosen], scales)[:, 0]
    while len(chosen) < min(NUM_PROTOTYPES, len(learned)) and nearest.max() > _SURE:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances(learned, learned[chosen[-1:]], scales)[:, 0])
    return learned[chosen]
