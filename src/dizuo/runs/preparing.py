"""Preparing queued runs on threads of their own, since a kind may ask the network first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from dizuo.runs.model import Run

Outcome = dict[str, Any] | None


class Preparations:
    """What is prepared now, and what came of it. Used by one thread.

    Args:
        prepare: prepares a run; returns its outcome if that is there already.
        at_once: how many runs are prepared side by side.
        ready: is called, on another thread, whenever one is done.
    """

    def __init__(
        self, prepare: Callable[[Run], Outcome], at_once: int, ready: Callable[[], None]
    ) -> None:
        self._prepare = prepare
        self._ready = ready
        self._begun: dict[str, Future[Outcome]] = {}
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="prepare")

    def take(self, run: Run) -> Future[Outcome] | None:
        """What came of preparing a run, given out once; None while that goes on. The first call
        begins it, and so does one after it was given out."""
        begun = self._begun.get(run.id)
        if begun is None:
            begun = self._begun[run.id] = self._threads.submit(self._prepare, run)
            begun.add_done_callback(lambda _: self._ready())
        return self._begun.pop(run.id) if begun.done() else None

    def forget_others(self, run_ids: Collection[str]) -> None:
        """Forget all runs but these: the others were cancelled, or have begun."""
        for run_id in self._begun.keys() - set(run_ids):
            self._begun.pop(run_id).cancel()

    def close(self) -> None:
        """Begin nothing more; returns once nothing is being prepared."""
        self._threads.shutdown(cancel_futures=True)
