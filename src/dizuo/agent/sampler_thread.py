"""The sampler beside the local API, on a thread of its own, so that answers never wait for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from dizuo.agent.egress_log import EgressLog
from dizuo.agent.outbox import Leaving
from dizuo.agent.sampler import Answered, Chosen, Sampler
from dizuo.agent.sampler_queue import Dropped, SamplerQueue

_BEHIND = "The sampler was behind."
_FAILED = "The row could not be sampled; see the agent's log."
_log = logging.getLogger(__name__)


class SamplerThread:
    """Runs a sampler.

    Which rows are wanted is decided at once, from what the engine observed; only of these requests
    the body is kept. When more comes than can be looked at, the newest rows are dropped, those of
    the control share last; they are counted, and written down as denied.

    Args:
        sampler: what decides.
        log: where it writes what it drops; flushed at the end.
        queued: called, on this thread, after something was queued.
    """

    def __init__(self, sampler: Sampler, log: EgressLog, queued: Callable[[], object]) -> None:
        self._sampler = sampler
        self._queued = queued
        self._egress_log = log
        self._waiting = SamplerQueue()
        self._lock = threading.Lock()
        self._behind = Dropped()
        self._was_behind = False
        self.num_dropped = 0
        """Rows that were chosen and lost since the start, for want of a place or by an error."""
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """How many answered requests were handed over and are not decided about yet."""
        return self._waiting.backlog

    @property
    def size_bytes(self) -> int:
        """The bytes of bodies that are kept for them."""
        return self._waiting.size_bytes

    def offer(self, answered: Answered) -> None:
        """Hand over an answered request, from one thread. Never waits, and never raises: the
        answer is on its way, whatever a score makes of it."""
        try:
            chosen = self._sampler.choose(answered)
        except Exception:  # noqa: BLE001 - the edge to scores, which may be a stranger's
            _log.exception("a request could not be considered")
            return
        if chosen is None:
            return
        dropped = self._waiting.put(chosen)
        if dropped:
            with self._lock:  # for the thread to write down: this one must not wait for a disk
                self._behind += dropped
                self.num_dropped += dropped.total()

    def _run(self) -> None:
        while batch := self._waiting.take():
            self._queue([one for chosen in batch for one in self._examine(chosen)])
            self._write_behind()
            self._waiting.done(batch)

    def _examine(self, chosen: Chosen) -> list[Leaving]:
        try:
            return self._sampler.examine(chosen)
        except Exception:  # noqa: BLE001 - the edge to families and policies of strangers
            _log.exception("a request could not be sampled")
            self._lose(chosen.count())
            return []

    def _queue(self, leaving: Sequence[Leaving]) -> None:
        try:
            if self._sampler.queue(leaving):
                self._queued()
        except Exception:  # noqa: BLE001 - a full disk, say: the next samples may find room
            _log.exception("%d samples could not be queued", len(leaving))
            self._lose(Dropped((one.sample.served_as, one.sample.reason) for one in leaving))

    def _lose(self, rows: Dropped) -> None:
        with self._lock:
            self.num_dropped += rows.total()
        self._deny(rows, _FAILED)

    def _write_behind(self) -> None:
        with self._lock:
            behind, self._behind = self._behind, Dropped()
        if behind and not self._was_behind:
            _log.warning("the sampler is behind and drops rows; status.json counts them")
        self._was_behind = bool(behind)
        self._deny(behind, _BEHIND)

    def _deny(self, rows: Dropped, why: str) -> None:
        for (served_as, reason), num_rows in rows.items():
            self._egress_log.denied(served_as, reason, why, num_rows=num_rows)

    def close(self) -> None:
        """Look at what was handed over, write the log, and end."""
        self._waiting.close()
        self._thread.join()
        self._write_behind()
        self._egress_log.flush()
