"""The site's own record of what was let out and what was denied, and the day's byte budget.

What is let out is written down before it is queued, one line a sample, durably: nothing can leave
without a trace. Denials are counted and written at most once a minute for each reason, since a busy
site with the policy `none` denies with every answer.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dizuo.agent.home import read_json
from dizuo.agent.log_files import LOG_BYTES_AT_MOST, rotate
from dizuo.core.clock import Clock, iso
from dizuo.core.files import write_json
from dizuo.edge.wire import Sample

_DENIALS_EVERY_MS = 60_000


class EgressLog:
    """Appends to one file. Safe to call from several threads.

    Args:
        path: the file of JSON lines.
        clock: the time.
        bytes_at_most: past this size the file goes on as `NAME.1`, and a fresh one begins.
    """

    def __init__(self, path: Path, clock: Clock, *, bytes_at_most: int = LOG_BYTES_AT_MOST) -> None:
        self._path = path
        self._bytes_at_most = bytes_at_most
        self._clock = clock
        self._lock = threading.Lock()
        self._denied: Counter[tuple[str, str, str]] = Counter()
        self._flushed_ms = 0

    def allowed(self, sample: Sample, size_bytes: int, why: str) -> None:
        """A sample may leave; returns when the line is on disk.

        Raises:
            OSError: it cannot be written, so the sample must not leave.
        """
        line = {
            "what": "allowed",
            "digest": sample.digest,
            "served_as": sample.served_as,
            "reason": sample.reason,
            "bytes": size_bytes,
            "why": why,
        }
        with self._lock:
            self._append(line, durable=True)

    def denied(self, served_as: str, reason: str, why: str) -> None:
        """A sample stays here."""
        with self._lock:
            self._denied[served_as, reason, why] += 1
            if self._clock() - self._flushed_ms >= _DENIALS_EVERY_MS:
                self._flush()

    def sent(self, digest: str, outcome: str, why: str = "") -> None:
        """The hub answered for a sample: `accepted`, or `refused` and why."""
        with self._lock:
            self._append({"what": outcome, "digest": digest, "why": why}, durable=False)

    def flush(self) -> None:
        """Write down the denials counted so far."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        for (served_as, reason, why), count in sorted(self._denied.items()):
            line = {"what": "denied", "served_as": served_as, "reason": reason, "why": why}
            self._append({**line, "num_rows": count}, durable=False)
        self._denied.clear()
        self._flushed_ms = self._clock()

    def _append(self, line: dict[str, object], *, durable: bool) -> None:
        text = json.dumps({"at": iso(self._clock()), **line}, ensure_ascii=False)
        rotate(self._path, self._bytes_at_most)
        with open(self._path, "a", encoding="utf-8", opener=_private) as stream:
            stream.write(text + "\n")
            if durable:
                stream.flush()
                os.fsync(stream.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@dataclass(frozen=True, slots=True)
class _Spent:
    day: str
    bytes: int


class ByteBudget:
    """How many bytes of samples this UTC day may still queue; survives restarts.

    Spending is written down before the bytes are queued: after a crash in between, the day has a
    little less, never more.

    Args:
        path: the file that keeps the count.
        bytes_per_day: the budget.
        clock: the time.
    """

    def __init__(self, path: Path, bytes_per_day: int, clock: Clock) -> None:
        self._path = path
        self._bytes_per_day = bytes_per_day
        self._clock = clock
        value = read_json(path) or {"day": "", "bytes": 0}
        self._spent = _Spent(str(value["day"]), int(value["bytes"]))

    def spend(self, num_bytes: int, *, share: float = 1.0) -> bool:
        """Take `num_bytes` from today's budget if no more than `share` of it is used then.

        Raises:
            OSError: it cannot be written down; nothing was taken.
        """
        day = iso(self._clock())[:10]
        used = self._spent.bytes if self._spent.day == day else 0
        if used + num_bytes > self._bytes_per_day * share:
            return False
        spent = _Spent(day, used + num_bytes)
        write_json(self._path, {"format": 1, "day": spent.day, "bytes": spent.bytes})
        self._spent = spent
        return True
