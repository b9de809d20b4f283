"""What waits for the sampler, within bounds, with places kept for the control share."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import replace

from dizuo.agent.sampler import SCORED_SHARE, Chosen, Reason

QUEUE_LENGTH = 256
QUEUE_BYTES = 64_000_000
"""Requests that may wait, and the bytes of their bodies; a body that is larger by itself is taken
when there is no other."""
BATCH_LENGTH = 64
BATCH_BYTES = 4_000_000
"""How many requests are taken at once, up to so many bytes of bodies."""

Dropped = Counter[tuple[str, Reason]]
"""How many rows found no place, by the name that was asked and the reason."""


class SamplerQueue:
    """Hands requests from the thread that answers to the thread that samples.

    A row that a score chose may use no more than `SCORED_SHARE` of the bounds, and requests with a
    row of the control share are taken first: however many rows look unsure, the control share stays
    a picture of all of them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._control: deque[Chosen] = deque()
        self._scored: deque[Chosen] = deque()
        self._num_taken = 0
        self._size_bytes = 0
        self._closed = False

    @property
    def backlog(self) -> int:
        """How many requests were put and are not done with."""
        with self._changed:
            return len(self._control) + len(self._scored) + self._num_taken

    @property
    def size_bytes(self) -> int:
        """The bytes of their bodies."""
        return self._size_bytes

    def put(self, chosen: Chosen) -> Dropped:
        """Add the rows for which there is a place; returns the others. Never waits."""
        with self._changed:
            kept = self._fitting(chosen)
            if kept.rows:
                (self._control if kept.has_control else self._scored).append(kept)
                self._size_bytes += len(kept.body)
                self._changed.notify()
        return chosen.count() - kept.count()

    def _fitting(self, chosen: Chosen) -> Chosen:
        if self._has_room(chosen, SCORED_SHARE):
            return chosen
        control = chosen.only_control()
        return control if self._has_room(chosen, 1.0) else replace(control, rows=())

    def _has_room(self, chosen: Chosen, share: float) -> bool:
        num_waiting = len(self._control) + len(self._scored)
        size_bytes = self._size_bytes + len(chosen.body)
        fits = not self._size_bytes or size_bytes <= QUEUE_BYTES * share
        return fits and num_waiting < QUEUE_LENGTH * share

    def take(self) -> list[Chosen]:
        """Wait for requests, and take some; empty when the queue was closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._control or self._scored)
            batch: list[Chosen] = []
            size_bytes = 0
            while len(batch) < BATCH_LENGTH and (line := self._control or self._scored):
                size_bytes += len(line[0].body)
                if batch and size_bytes > BATCH_BYTES:
                    break
                batch.append(line.popleft())
            self._num_taken += len(batch)
            return batch

    def done(self, batch: list[Chosen]) -> None:
        """Forget what was taken."""
        with self._changed:
            self._num_taken -= len(batch)
            self._size_bytes -= sum(len(chosen.body) for chosen in batch)

    def close(self) -> None:
        """Let `take` end once nothing is left."""
        with self._changed:
            self._closed = True
            self._changed.notify()
