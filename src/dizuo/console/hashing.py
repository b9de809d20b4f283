"""Work with passwords, which takes long on purpose, in turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")
_MOST_AT_ONCE = 8


@cache
def _at_once() -> CapacityLimiter:
    return CapacityLimiter(_MOST_AT_ONCE)


async def in_turn(work: Callable[[], T]) -> T:
    """What a function that hashes or checks a password returns, called in a worker thread. Such
    functions wait for each other, and leave the hub's other threads alone."""
    return await to_thread.run_sync(work, limiter=_at_once())
