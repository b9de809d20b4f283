"""Bars for long work, drawn on stderr from `core.progress` events; lines where that is no
terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from dizuo.cli.output import console, plain, size
from dizuo.core.progress import Progress

_MAX_MESSAGE = 60
_SECONDS_PER_LINE = 30.0


@dataclass(slots=True)
class Lines:
    """Where `console` is no terminal, says in a line every half minute how far work with this
    `title` is, in the words of its newest event.

    `look` whenever it is convenient, also while no event arrives: what draws bars does so from a
    thread of its own.
    """

    console: Console
    title: str = ""
    clock: Callable[[], float] = time.monotonic
    _newest: str = ""
    _told: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, event: Progress) -> None:
        """Note how far the work is; a `core.progress.Reporter`."""
        said = f"{count_words(event)} {note_words(event)}".strip()
        self._newest = ": ".join(filter(None, (event.stage, said)))
        self.look()

    def look(self) -> None:
        """Say it if it is time; half a minute after the first look for the first time."""
        if not self.console.is_terminal and self._is_due():
            words = ": ".join(filter(None, (self.title, self._newest)))
            self.console.print(plain(words, "dim"))

    def _is_due(self) -> bool:
        with self._lock:
            now = self.clock()
            before = now if self._told is None else self._told
            due = now - before >= _SECONDS_PER_LINE
            self._told = now if due else before
            return due


class _Drawn(RichProgress):
    """Bars that look at `lines` whenever they are drawn, or would be on a terminal."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        super().__init__(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", style="cyan"),
            TextColumn("{task.fields[note]}", style="dim"),
            TimeElapsedColumn(),
            console=lines.console,
        )

    def get_renderable(self) -> RenderableType:
        """The bars as they are now."""
        self._lines.look()
        return super().get_renderable()


@dataclass(slots=True)
class Bars:
    """One bar for each stage of the work; `report` is a `Reporter`. Use it as a context manager.

    Nothing is drawn before the first event. In a pipe or a file the bars come at the end, and until
    then a line every half minute says how far the work is, whether events arrive or not.
    """

    clock: Callable[[], float] = time.monotonic
    _lines: Lines = field(init=False)
    _progress: RichProgress = field(init=False)
    _stages: dict[str, TaskID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lines = Lines(console(stderr=True), clock=self.clock)
        self._progress = _Drawn(self._lines)

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
        self._lines.report(event)

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
