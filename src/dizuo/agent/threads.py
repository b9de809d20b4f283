"""Blocking work beside the event loop, in threads that never hold up the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T], *, name: str) -> _T:
    """Run `work` in a daemon thread and wait for what it returns or raises.

    Unlike asyncio's own executor, whose threads are waited for at the end, a caller that is
    cancelled leaves the thread behind: a transfer that waits for a silent hub must not keep the
    agent from stopping. So `work` must be safe to be cut off at any point.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def deliver(settle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if future.done() else settle())

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed over whole to the one who waits
            deliver(lambda error=error: future.set_exception(error))  # type: ignore[misc]
        else:
            deliver(lambda: future.set_result(result))

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
