"""Bars for long work, drawn on stderr from `core.progress` events; lines where that is no
terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from dizuo.cli.output import console, note, size
from dizuo.core.progress import Progress

_MAX_MESSAGE = 60
_SECONDS_PER_LINE = 30.0


def _bars() -> RichProgress:
    return RichProgress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}", style="cyan"),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeElapsedColumn(),
        console=console(stderr=True),
    )


@dataclass(slots=True)
class Bars:
    """One bar for each stage of the work; `report` is a `Reporter`. Use it as a context manager.

    Nothing is drawn before the first event. In a pipe or a file the bars come at the end, and until
    then a line every half minute says how far the work is.
    """

    clock: Callable[[], float] = time.monotonic
    _progress: RichProgress = field(default_factory=_bars)
    _stages: dict[str, TaskID] = field(default_factory=dict)
    _told: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish_all()
        if self._stages:
            self._progress.stop()

    def report(self, event: Progress) -> None:
        """Draw one step forward. A stage that begins ends those before it."""
        task = self._stages.get(event.stage)
        if not self._stages:
            self._progress.start()
        if task is None:
            self._finish_all()
            task = self._progress.add_task(escape(event.stage), total=None, count="", note="")
            self._stages[event.stage] = task
        self._progress.update(
            task,
            completed=event.done,
            total=event.total or None,
            count=count_words(event),
            note=escape(note_words(event)),
        )
        if not self._progress.console.is_terminal:
            self._tell(event)

    def _tell(self, event: Progress) -> None:
        now = self.clock()
        if self._told is None:
            self._told = now
        elif now - self._told >= _SECONDS_PER_LINE:
            self._told = now
            note(f"{event.stage}: {count_words(event)} {note_words(event)}".rstrip(": "))

    def _finish_all(self) -> None:
        for task in self._progress.tasks:
            if not task.finished:
                total = task.total or max(task.completed, 1)
                self._progress.update(task.id, total=total, completed=total)


def count_words(event: Progress) -> str:
    """How far the work is: `3/10 steps`, `12.3 kB of 1.4 MB`; empty where that is not known."""
    if not event.done and not event.total:
        return ""
    if event.unit == "byte":
        return size(event.done) + (f" of {size(event.total)}" if event.total else "")
    return f"{event.done}" + (f"/{event.total}" if event.total else "") + f" {event.unit}s"


def note_words(event: Progress) -> str:
    """The figures and the message of an event, on one line."""
    figures = " ".join(f"{name} {value:.4g}" for name, value in (event.metrics or {}).items())
    message = "".join(c if c.isprintable() else " " for c in event.message)[:_MAX_MESSAGE]
    return f"{figures} {message}".strip()
