"""What a confidence is worth, and what looks new. Light.

Confidence: temperature scaling (Guo et al. 2017, *On Calibration of Modern Neural Networks*), one
number fitted on rows held out of training. Novelty: the Mahalanobis distance of the embedding to
the nearest class mean with one covariance for all classes (Lee et al. 2018, *A Simple Unified
Framework for Detecting Out-of-Distribution Samples*), the covariance shrunk to its diagonal, since
an L2 layer knows far fewer rows than it has dimensions and ships in kilobytes. Both are also told
as percentiles among the held-out rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dizuo.core.files import write_json
from dizuo.families.quantiles import Floats, halved, pack, percentiles, quantiles, unpack

FILE_NAME = "calibration.json"
_TEMPERATURES = np.geomspace(0.25, 8, 251)
_VARIANCE_SHRINKAGE = 0.1

Source = Literal["held-out", "generated"]


class CalibrationFile(BaseModel):
    """`calibration.json`, format 1. Means and scales are base64 of little-endian half floats."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    source: Source
    num_rows: Annotated[int, Field(ge=1)]
    temperature: Annotated[float, Field(gt=0, le=1000)]
    confidence_quantiles: Annotated[list[float], Field(min_length=101, max_length=101)]
    novelty_means: str
    novelty_scales: str
    novelty_quantiles: Annotated[list[float], Field(min_length=101, max_length=101)]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of one layer.

    `means` has shape (classes, d), `scales` (d): the reciprocal standard deviations.
    """

    temperature: float
    confidence_quantiles: Floats
    means: Floats
    scales: Floats
    novelty_quantiles: Floats

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities, shape (rows, classes)."""
        return softmax(logits / np.float32(self.temperature))

    def novelty(self, embeddings: Floats) -> Floats:
        """Distance to the nearest class mean per dimension, shape (rows)."""
        return _distance(embeddings, self.means, self.scales)

    def confidence_percentiles(self, confidences: Floats) -> Floats:
        """The share of held-out rows that were less sure, 0 to 1."""
        return percentiles(confidences, self.confidence_quantiles)

    def novelty_percentiles(self, embeddings: Floats) -> Floats:
        """The share of held-out rows that were nearer to what was learned, 0 to 1."""
        return percentiles(self.novelty(embeddings), self.novelty_quantiles)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a network in memory says about some rows: embeddings (rows, d), logits (rows, classes),
    and which class each row belongs to (rows)."""

    embeddings: Floats
    logits: Floats
    classes: NDArray[np.int64]


def softmax(logits: Floats) -> Floats:
    """exp(logits) over its sum, along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def likeliest(probabilities: Floats) -> tuple[list[int], list[float]]:
    """The numbers of the classes, the likeliest first, and the logarithms of their probabilities,
    from those of one row, shape (classes)."""
    order = np.argsort(-probabilities, kind="stable")
    logprobs = np.log(np.clip(probabilities[order], np.finfo(np.float32).tiny, 1))
    return order.tolist(), logprobs.tolist()


def _distance(embeddings: Floats, means: Floats, scales: Floats) -> Floats:
    """min over classes of sqrt(mean((e - mean)² · scale²)), by the expanded square."""
    rows, centres = embeddings * scales, means * scales
    squares = (
        (rows**2).sum(axis=1)[:, None] - 2 * rows @ centres.T + (centres**2).sum(axis=1)[None, :]
    )
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0) / rows.shape[1]), dtype=np.float32)


def fit(trained: Evidence, held_out: Evidence, path: Path) -> Calibration:
    """Fit a calibration and write it to `path`: means from trained rows, the rest from held-out.

    A class without trained rows takes the mean of all.
    """
    return _write(trained, held_out, _temperature(held_out), "held-out", path)


def fit_unlabelled(seen: Evidence, path: Path) -> Calibration:
    """The calibration of a model that comes without data: its confidence as it is, percentiles and
    means among generated pictures, classed as the model itself does."""
    return _write(seen, seen, 1.0, "generated", path)


def _write(
    trained: Evidence, held_out: Evidence, temperature: float, source: Source, path: Path
) -> Calibration:
    means, scales = _statistics(trained)
    confidences = softmax(held_out.logits / np.float32(temperature)).max(axis=1)
    distances = _distance(held_out.embeddings, halved(means), halved(scales))
    file = CalibrationFile(
        source=source,
        num_rows=len(held_out.classes),
        temperature=temperature,
        confidence_quantiles=quantiles(confidences),
        novelty_means=pack(means),
        novelty_scales=pack(scales),
        novelty_quantiles=quantiles(distances),
    )
    write_json(path, file.model_dump())
    return _loaded(file)


def read(path: Path) -> Calibration:
    """The calibration in a file.

    Raises:
        pydantic.ValidationError, ValueError: the file does not have format 1.
    """
    return _loaded(CalibrationFile.model_validate_json(path.read_bytes()))


def _loaded(file: CalibrationFile) -> Calibration:
    scales = unpack(file.novelty_scales)
    return Calibration(
        temperature=file.temperature,
        confidence_quantiles=np.asarray(file.confidence_quantiles, dtype=np.float32),
        means=unpack(file.novelty_means).reshape(-1, scales.size),
        scales=scales,
        novelty_quantiles=np.asarray(file.novelty_quantiles, dtype=np.float32),
    )


def _statistics(trained: Evidence) -> tuple[Floats, Floats]:
    rows, classes = trained.embeddings.astype(np.float64), trained.classes
    means = np.tile(rows.mean(axis=0), (trained.logits.shape[1], 1))
    for label in np.unique(classes):
        means[label] = rows[classes == label].mean(axis=0)
    variance = ((rows - means[classes]) ** 2).mean(axis=0)
    shrunk = (1 - _VARIANCE_SHRINKAGE) * variance + _VARIANCE_SHRINKAGE * variance.mean()
    return means.astype(np.float32), (1 / np.sqrt(shrunk + 1e-6)).astype(np.float32)


def _temperature(held_out: Evidence) -> float:
    """The temperature with the least negative log-likelihood, to 1.4 percent, within bounds.

    Each of the n rows counts as 1 - 1/(n+2) of its class and the rest spread over all, the way
    Platt (1999, *Probabilistic Outputs for Support Vector Machines*) smooths targets: thirty rows
    without an error are no proof that there will be none.
    """
    num_rows = len(held_out.classes)
    rows, doubt = np.arange(num_rows), 1 / (num_rows + 2)
    logits = held_out.logits.astype(np.float64)
    aimed_at = (1 - doubt) * logits[rows, held_out.classes] + doubt * logits.mean(axis=1)

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        top = scaled.max(axis=1)
        normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((normaliser - aimed_at / temperature).mean())

    losses = [loss(float(temperature)) for temperature in _TEMPERATURES]
    return round(float(_TEMPERATURES[int(np.argmin(losses))]), 4)
