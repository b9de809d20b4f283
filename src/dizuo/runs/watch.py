"""What a supervisor remembers about one attempt while it watches it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from dizuo.runs.folder import AttemptFolder, AttemptPlan, WorkerIdentity


@dataclass(frozen=True, slots=True)
class Limits:
    """How a supervisor runs things.

    At most `parallel` workers at once, each with `threads` threads (0 shares the machine's cores
    out) unless its run was begun with another number. A worker touches its lease every
    `beat_seconds` unless its work has reported nothing for `stall_seconds`; without a touch for
    `lease_seconds` it is ended and its run queued again. A worker that ends without a word is
    replaced `max_lost` times before the run fails. A cancelled one has `cancel_grace_seconds` to
    stop by itself. Workers and the queue are looked at every `poll_seconds` while something runs.
    """

    parallel: int = 1
    threads: int = 0
    poll_seconds: float = 0.1
    beat_seconds: float = 2.0
    lease_seconds: float = 60.0
    stall_seconds: float = 1800.0
    cancel_grace_seconds: float = 10.0
    max_lost: int = 3

    def plan(self, fence: int, first: AttemptPlan | None = None) -> AttemptPlan:
        """What a worker is told; with as many threads as its run's `first` attempt had, since sums
        depend on their number, and what is resumed shall come to the same bits."""
        shared_out = self.threads or max(1, (os.cpu_count() or 1) // self.parallel)
        threads = first.threads if first else shared_out
        return AttemptPlan(fence, threads, self.beat_seconds, self.stall_seconds)


@dataclass(slots=True)
class Watch:
    """One attempt under watch.

    A lease is measured on this process's own monotonic clock, from the last time a beat was seen to
    change: so it does not matter what the wall clock does, or how long the hub was away.
    """

    attempt: AttemptFolder
    _worker: WorkerIdentity | None = None
    _beat: int = -1
    _beat_seen: float = field(default_factory=time.monotonic)
    _lease_written: float = 0.0
    _stop_asked: float | None = None

    def worker(self) -> WorkerIdentity | None:
        """Who works on it, once that is written down."""
        if self._worker is None:
            self._worker = self.attempt.identity()
        return self._worker

    def look(self) -> None:
        """Note whether the worker has given a sign of life."""
        beat = self.attempt.beat()
        if beat != self._beat:
            self._beat, self._beat_seen = beat, time.monotonic()

    def is_expired(self, lease_seconds: float) -> bool:
        """Whether no sign of life was seen for that long."""
        return time.monotonic() - self._beat_seen > lease_seconds

    def lease_is_due(self, lease_seconds: float) -> bool:
        """Whether to write a later lease down: a sign of life came a third of a lease after the
        last one that was written. Says so once."""
        if self._beat_seen - self._lease_written < lease_seconds / 3:
            return False
        self._lease_written = self._beat_seen
        return True

    def ask_once(self) -> bool:
        """Whether this is the first time that the worker is to be asked to stop."""
        if self._stop_asked is not None:
            return False
        self._stop_asked = time.monotonic()
        return True

    def grace_is_over(self, grace_seconds: float) -> bool:
        """Whether the worker was asked to stop that long ago."""
        return self._stop_asked is not None and (
            time.monotonic() - self._stop_asked > grace_seconds
        )
