"""What a run has said so far as stages and curves, read on from where one has read to.

A run may report for weeks. A curve keeps at most MAX_POINTS: once it has twice as many, every
second one goes, and from then on only every second report is kept, and so on; the first and the
newest one are always there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dizuo.runs.events import Position, read_events
from dizuo.runs.folder import RunFolder

MAX_POINTS = 200
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one stage of a run is; the fields are those of `Progress`."""

    name: str
    done: int
    total: int
    unit: str
    message: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure over the steps of a run, oldest first."""

    name: str
    points: tuple[Point, ...]

    @property
    def last(self) -> Point:
        """The newest point."""
        return self.points[-1]


@dataclass(frozen=True, slots=True)
class Story:
    """What a run has said: stages in the order they began, curves in the order they appeared."""

    stages: tuple[Stage, ...] = ()
    curves: tuple[Curve, ...] = ()


@dataclass
class _Line:
    """A curve that grows. `kept` has every `stride`-th report, `newest` is the last one of all."""

    kept: list[Point] = field(default_factory=list)
    newest: Point | None = None
    stride: int = 1
    num_since: int = 0

    def add(self, point: Point) -> None:
        if self.newest is not None and point[0] <= self.newest[0]:
            self._go_back_to(point[0])
        self.newest = point
        if self.num_since == 0:
            self.kept.append(point)
        self.num_since = (self.num_since + 1) % self.stride
        if len(self.kept) >= 2 * MAX_POINTS:
            self.kept = self.kept[::2]  # without the last one, which was added just now
            self.num_since = self.stride + 1
            self.stride *= 2
            self.num_since %= self.stride

    def _go_back_to(self, step: float) -> None:
        """A later attempt went on from a checkpoint: what came after that did not count."""
        self.kept = [one for one in self.kept if one[0] < step]
        self.num_since = 0

    def points(self) -> tuple[Point, ...]:
        if self.newest is None or (self.kept and self.kept[-1] == self.newest):
            return tuple(self.kept)
        return (*self.kept, self.newest)


class Listener:
    """Reads one run's events. Not to be used by two threads at once."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._position = Position()
        self._stages: dict[str, Stage] = {}
        self._lines: dict[str, _Line] = {}

    def listen(self) -> Story:
        """Read what is new, and tell the whole."""
        for event in read_events(self._folder, self._position):
            self._position = event.position
            self._take(event.progress)
        curves = (Curve(name, line.points()) for name, line in self._lines.items())
        return Story(tuple(self._stages.values()), tuple(curves))

    def _take(self, progress: Mapping[str, Any]) -> None:
        name, done = str(progress.get("stage", "")), int(progress.get("done", 0))
        self._stages[name] = Stage(
            name=name,
            done=done,
            total=int(progress.get("total", 0)),
            unit=str(progress.get("unit", "")),
            message=str(progress.get("message", "")),
        )
        for metric, value in (progress.get("metrics") or {}).items():
            self._lines.setdefault(metric, _Line()).add((float(done), float(value)))
