"""How much memory a vision engine takes, told before it starts. Light."""

from __future__ import annotations

from collections.abc import Mapping

from dizuo.artifacts.model import StackFiles

PROCESS_BYTES = 120_000_000
"""What an engine process takes before it holds weights: the interpreter, NumPy and the runtime
(measured at 70 to 110 MB with ONNX Runtime 1.31)."""
WEIGHTS_FACTOR = 1.5
"""Weights as files, times this, is what they take when loaded (measured at up to 1.4)."""

SMALLER = "Take a smaller base, or use a machine with more memory."
"""See `dizuo.families.base.Footprint`."""


def engine_bytes(_stacks: Mapping[str, StackFiles], *, file_bytes: int) -> int:
    """See `dizuo.families.base.Footprint`."""
    return PROCESS_BYTES + int(file_bytes * WEIGHTS_FACTOR)
