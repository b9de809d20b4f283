"""Time as the project stores it: whole milliseconds since the Unix epoch, UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Something that tells the time in Unix milliseconds; services take one so tests can set it."""


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def iso(milliseconds: int) -> str:
    """`2026-11-22T05:48:58Z`, for people and for formats that ask for it."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
