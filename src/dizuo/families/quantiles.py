"""Where a value lies among those a layer was calibrated on, and vectors as short JSON. Light."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
NUM_QUANTILES = 101
_SHARES = np.linspace(0, 1, NUM_QUANTILES)


def quantiles(values: Floats) -> list[float]:
    """The 0th to the 100th percentile of values, to five digits."""
    return [float(f"{value:.5g}") for value in np.quantile(values, _SHARES)]


def percentiles(values: Floats, known: Floats) -> Floats:
    """For each value the share, 0 to 1, of the calibrating values that were lower; `known` are
    their `quantiles`."""
    return np.interp(values, known, _SHARES).astype(np.float32)


def halved(values: Floats) -> Floats:
    """What is left of values that went through half precision."""
    return values.astype("<f2").astype(np.float32)


def pack(values: Floats) -> str:
    """Values as base64 of little-endian half floats."""
    return base64.b64encode(values.astype("<f2").tobytes()).decode("ascii")


def unpack(text: str) -> Floats:
    """The flat values of a `pack`.

    Raises:
        ValueError: it is not that.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2").astype(np.float32)
