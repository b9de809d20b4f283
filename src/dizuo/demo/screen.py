"""What a person sees while the demo works: the step, its bars, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from dizuo.cli.progress import Lines, count_words, note_words
from dizuo.core.progress import Progress as Event
from dizuo.demo.measure import Score, StoryScores


@dataclass(slots=True)
class Screen:
    """The demo's output. `num_steps` is how many steps the story has."""

    console: Console
    num_steps: int
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    _step: int = 0

    def __post_init__(self) -> None:
        self.started = self.clock()

    @contextmanager
    def step(self, title: str) -> Iterator[Bars]:
        """One numbered step: a live line while it runs, below it a bar for each stage, and a tick
        and its seconds when it is done. Where no terminal is, a line every half minute says how far
        it is."""
        self._step += 1
        begun = self.clock()
        label = f"[{self._step}/{self.num_steps}] {title}"
        head = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        head.add_task(escape(label), total=None)
        bars = Bars(Lines(self.console, label, self.clock))

        def draw() -> Group:
            bars.lines.look()
            return Group(head, bars.progress)

        with Live(get_renderable=draw, console=self.console, transient=True):
            yield bars
        seconds = self.clock() - begun
        summary = f"[dim]{escape(bars.summary)}[/] [dim]{seconds:.1f} s[/]"
        self.console.print(f"[green]✓[/] {escape(label)} {summary}")

    def say(self, sentence: str) -> None:
        """One line of the story."""
        self.console.print(f"  {sentence}", soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return self.clock() - self.started


class _NoteColumn(ProgressColumn):
    """Words that give way: where the line is too long they are cut, so that bars never are."""

    def render(self, task: Task) -> Text:
        """The task's `note`."""
        return Text(str(task.fields["note"]), style="dim", no_wrap=True, overflow="ellipsis")


def _stage_bars() -> Progress:
    return Progress(
        TextColumn("    "),
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[count]}", style="cyan"),
        _NoteColumn(),
        TimeElapsedColumn(),
    )


@dataclass(slots=True)
class Bars:
    """The bars of one step: one line for each stage that reports progress, in their order.

    `lines` tells of it where no terminal is; `summary` is what the step came to, in a few words.
    """

    lines: Lines
    progress: Progress = field(default_factory=_stage_bars)
    summary: str = ""
    _stages: dict[str, TaskID] = field(default_factory=dict)

    def report(self, event: Event) -> None:
        """Draw a progress event; a `core.progress.Reporter`."""
        if event.stage not in self._stages:
            self._finish_all()
            words = escape(event.stage)
            self._stages[event.stage] = self.progress.add_task(words, total=None, count="", note="")
        self.progress.update(
            self._stages[event.stage],
            completed=event.done,
            total=event.total or None,
            count=count_words(event),
            note=note_words(event),
        )
        self.lines.report(event)

    def _finish_all(self) -> None:
        """A stage that begins ends those before it."""
        for task in self.progress.tasks:
            if not task.finished:
                total = task.total or max(task.completed, 1)
                self.progress.update(task.id, total=total, completed=total)


def scores_table(title: str, scores: StoryScores, rows: Mapping[str, Score]) -> Table:
    """A story's scores for people; `rows` are those it has beside the four that all have."""
    table = Table(title=title, title_justify="left")
    table.add_column("when")
    table.add_column("read right", justify="right")
    table.add_column("95% interval", justify="right")
    shown = {
        "before the drift": scores.before_drift,
        "after the drift": scores.after_drift,
        f"after the update from {scores.num_labels} labels": scores.after_update,
        f"the same from {scores.num_labels} random labels": scores.random_arm,
        **rows,
    }
    for words, score in shown.items():
        if score is None:
            table.add_row(words, "not served", "")
        else:
            table.add_row(words, f"{score.score:.1%}", f"{score.low:.1%} to {score.high:.1%}")
    return table


def sites_table(sites: Sequence[Mapping[str, Any]]) -> Table:
    """What runs where, and what it cost to bring it there."""
    table = Table(title="Sites", title_justify="left")
    for column in ("site", "state", "runs", "digest"):
        table.add_column(column)
    table.add_column("first install", justify="right")
    table.add_column("last update", justify="right")
    for site in sites:
        runs = ", ".join(f"{one['name']}:{one['version']}" for one in site["stacks"])
        digests = ", ".join(one["digest"][7:19] for one in site["stacks"])
        table.add_row(
            site["name"],
            site["state"],
            runs,
            digests,
            _kilobytes(site["bytes_first_install"]),
            _kilobytes(site["bytes_last_update"]),
        )
    return table


def _kilobytes(num_bytes: int) -> str:
    return f"{num_bytes / 1000:,.0f} kB"
