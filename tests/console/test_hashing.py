"""Work with passwords leaves the hub's other threads alone."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

from anyio import to_thread
from tests.console.test_live import apart

from dizuo.console import hashing
from dizuo.console.hashing import in_turn

PATIENCE_SECONDS = 30


@apart
async def test_only_so_many_at_once_and_in_no_thread_of_others() -> None:
    most, arrived, go_on = hashing._MOST_AT_ONCE, threading.Semaphore(0), threading.Event()

    def work(number: int) -> int:
        arrived.release()
        assert go_on.wait(PATIENCE_SECONDS)
        return number

    under_way = [asyncio.ensure_future(in_turn(partial(work, number))) for number in range(20)]
    for _ in range(most):
        assert await asyncio.to_thread(arrived.acquire, timeout=PATIENCE_SECONDS)
    assert not arrived.acquire(blocking=False)
    assert to_thread.current_default_thread_limiter().borrowed_tokens == 0
    go_on.set()
    assert await asyncio.gather(*under_way) == list(range(20))
