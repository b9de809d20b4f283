"""How much memory the engine takes."""

from __future__ import annotations

from collections.abc import Mapping

from dizuo.artifacts.model import StackFiles

SMALLER = "Take a smaller one."


def engine_bytes(_stacks: Mapping[str, StackFiles], *, file_bytes: int) -> int:
    return 120_000_000 + file_bytes
