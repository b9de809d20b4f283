"""The progress of a run as an append-only file, and reading on from any place in it.

A position is `(fence, offset)`: the attempt, and the byte after the last line that was read. Its
text form `fence:offset` is the id of a server-sent event.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from dizuo.core.digests import canonical_json
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress
from dizuo.runs.folder import RunFolder

_READ_BYTES = 1 << 20


class EventWriter:
    """Appends progress to a file; calling it is a `Reporter`.

    Each line is one write to a file opened for appending, so a kill leaves at most one cut line at
    the end. Only the newest attempt writes, and never two processes at once.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def __call__(self, event: Progress) -> None:
        """Append one event. A figure that is not finite is left out: JSON has no word for it."""
        line = canonical_json(_finite(event).as_dict()) + b"\n"
        with suppress(OSError):  # a full disk must stop the work where it saves, not where it talks
            os.write(self._descriptor, line)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def _finite(event: Progress) -> Progress:
    if event.metrics is None:
        return event
    figures = {name: float(value) for name, value in event.metrics.items()}
    kept = {name: value for name, value in figures.items() if math.isfinite(value)}
    return replace(event, metrics=kept)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a run's events."""

    fence: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.fence}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that `str` wrote.

        Raises:
            InvalidInput: it is not one.
        """
        fence, _, offset = text.partition(":")
        if not (fence.isdecimal() and offset.isdecimal()) or len(text) > 40:
            raise InvalidInput(
                f"{text[:40]!r} is not the id of a run's event.",
                next_step="Send the last id received as Last-Event-ID, or none.",
            )
        return cls(int(fence), int(offset))


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event of a run; `position` lies right after it."""

    position: Position
    progress: dict[str, Any]


def read_events(folder: RunFolder, after: Position) -> Iterator[RunEvent]:
    """The events there are now after a position, in order, across attempts.

    A last line without its end is not there yet (or, in an attempt that was killed, never will be).
    """
    for attempt in folder.attempts():
        if attempt.fence < after.fence or not attempt.events_path.exists():
            continue
        offset = after.offset if attempt.fence == after.fence else 0
        yield from _read_lines(attempt.events_path, Position(attempt.fence, offset))


def _read_lines(path: Path, position: Position) -> Iterator[RunEvent]:
    with path.open("rb") as stream:
        stream.seek(position.offset)
        while lines := stream.readlines(_READ_BYTES):
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                position = replace(position, offset=position.offset + len(line))
                if (progress := _parse(line)) is not None:
                    yield RunEvent(position, progress)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        progress = json.loads(line)
    except ValueError:  # a client's offset from elsewhere landed inside a line
        return None
    return progress if isinstance(progress, dict) else None
