"""The site's own record of what was let out and what was denied, and the day's byte budget.

What is let out is written down before it is queued, one line a sample, durably: nothing can leave
without a trace. Denials are counted and written at most once a minute for each reason, since a busy
site with the policy `none` denies with every answer.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dizuo.agent.home import read_json
from dizuo.agent.log_files import LOG_BYTES_AT_MOST, rotate
from dizuo.agent.outbox import Leaving
from dizuo.core.clock import Clock, iso
from dizuo.core.files import write_json

_DENIALS_EVERY_MS = 60_000
_log = logging.getLogger(__name__)


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

    def allowed(self, leaving: Sequence[Leaving]) -> None:
        """Samples may leave; returns when their lines are on disk.

        Raises:
            OSError: they cannot be written, so none of the samples must leave.
        """
        lines = [
            {
                "what": "allowed",
                "digest": one.sample.digest,
                "served_as": one.sample.served_as,
                "reason": one.sample.reason,
                "bytes": len(one.encoded),
                "why": one.why,
            }
            for one in leaving
        ]
        with self._lock:
            self._append(lines, durable=True)

    def denied(self, served_as: str, reason: str, why: str, *, num_rows: int = 1) -> None:
        """Samples stay here. A line that the disk does not take now is written later."""
        with self._lock:
            self._denied[served_as, reason, why] += num_rows
            if self._clock() - self._flushed_ms >= _DENIALS_EVERY_MS:
                self._flush()

    def sent(self, digest: str, outcome: str, why: str = "") -> None:
        """The hub answered for a sample: `accepted`, or `refused` and why."""
        with self._lock:
            self._append([{"what": outcome, "digest": digest, "why": why}])

    def flush(self) -> None:
        """Write down the denials counted so far."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        keys = ("served_as", "reason", "why")
        lines = [
            {"what": "denied", **dict(zip(keys, denied, strict=True)), "num_rows": count}
            for denied, count in sorted(self._denied.items())
        ]
        self._flushed_ms = self._clock()
        try:
            self._append(lines)
        except OSError as error:
            _log.warning("denials cannot be written down: %s", error)
        else:
            self._denied.clear()

    def _append(self, lines: Sequence[Mapping[str, object]], *, durable: bool = False) -> None:
        if not lines:
            return
        at = iso(self._clock())
        texts = [json.dumps({"at": at, **line}, ensure_ascii=False) + "\n" for line in lines]
        rotate(self._path, self._bytes_at_most)
        with open(self._path, "a", encoding="utf-8", opener=_private) as stream:
            stream.writelines(texts)
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

    def allows(self, num_bytes: int, *, share: float = 1.0) -> bool:
        """Whether no more than `share` of today's budget is used after `num_bytes` more."""
        return self._used(self._today()) + num_bytes <= self._bytes_per_day * share

    def spend(self, num_bytes: int) -> None:
        """Take `num_bytes` from today's budget, which allows them.

        Raises:
            OSError: it cannot be written down; nothing was taken.
        """
        day = self._today()
        spent = _Spent(day, self._used(day) + num_bytes)
        write_json(self._path, {"format": 1, "day": spent.day, "bytes": spent.bytes})
        self._spent = spent

    def _today(self) -> str:
        return iso(self._clock())[:10]

    def _used(self, day: str) -> int:
        return self._spent.bytes if self._spent.day == day else 0
