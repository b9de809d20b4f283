"""Kinds of runs: what can be run, found by entry point in the group `dizuo.run_kinds`.

A kind has a half that runs in the hub, with the database (`check`, `prepare`, `finish`), and a half
that runs in the worker, with nothing but its job and its folders (`work`). The built-in kinds are
registered the same way as a stranger's: the entry point names an object that satisfies `Kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, cast

from sqlalchemy.orm import Session

from dizuo.artifacts.layout import Layout
from dizuo.core.progress import Reporter
from dizuo.database.engine import Database
from dizuo.runs.errors import UnknownRunKind
from dizuo.runs.model import Run

ENTRY_POINT_GROUP = "dizuo.run_kinds"


@dataclass(frozen=True, slots=True)
class RunContext:
    """The hub's parts that kinds use."""

    database: Database
    layout: Layout
    home: Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where work may write.

    `checkpoints` is shared by all attempts of a run: work saves how far it is there, in files that
    are whole or absent, and goes on from them. `scratch` is empty at the start of each attempt.
    """

    checkpoints: Path
    scratch: Path


class Kind(Protocol):
    """One kind of run. Everything it returns is JSON; arguments are given by position."""

    @property
    def name(self) -> str:
        """What a run's `kind` says."""

    def check(
        self, context: RunContext, session: Session, spec: Mapping[str, Any], /
    ) -> dict[str, Any] | None:
        """Whether a run with this spec can be done, before anything is queued.

        Returns the outcome if it is there already and nothing needs to run, else None. Called
        again when the run's turn comes.

        Raises:
            DizuoError: it cannot be done; nothing has changed.
        """

    def prepare(
        self, context: RunContext, session: Session, spec: Mapping[str, Any], /
    ) -> dict[str, Any]:
        """The job: everything `work` needs to know, with all names resolved to digests.

        Called once for each run, when its turn comes; every attempt gets the same job.

        Raises:
            DizuoError: it cannot be done; the run fails with this error.
        """

    def work(
        self,
        job: Mapping[str, Any],
        workspace: Workspace,
        report: Reporter,
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        """Do it, in the worker. May be killed at any moment and called again, with the same job and
        checkpoints, and must then return the same result.

        Raises:
            Cancelled: `cancelled()` became true.
            DizuoError: it cannot be done; the run fails with this error.
        """

    def finish(
        self, context: RunContext, session: Session, run: Run, result: Mapping[str, Any], /
    ) -> dict[str, Any]:
        """Make the result count; its return value becomes the run's outcome.

        Called in the transaction in which the run succeeds, so its rows are written exactly once.

        Raises:
            DizuoError: it cannot count; the run fails with this error and nothing is kept.
        """


def installed_kinds() -> dict[str, Kind]:
    """Every installed kind by its name."""
    return {point.name: _load(point) for point in entry_points(group=ENTRY_POINT_GROUP)}


def load_kind(name: str) -> Kind:
    """The installed kind of this name, loading no other.

    Raises:
        UnknownRunKind: there is none.
    """
    points = entry_points(group=ENTRY_POINT_GROUP)
    if name not in points.names:
        raise _unknown(name, points.names)
    return _load(points[name])


def choose_kind(kinds: Mapping[str, Kind], name: str) -> Kind:
    """The kind of this name among those given.

    Raises:
        UnknownRunKind: there is none.
    """
    if name not in kinds:
        raise _unknown(name, kinds)
    return kinds[name]


def _load(point: EntryPoint) -> Kind:
    return cast(Kind, point.load())


def _unknown(name: str, known: Iterable[str]) -> UnknownRunKind:
    return UnknownRunKind(
        f"There is no kind of run {name[:80]!r}.",
        next_step=f"Known kinds: {', '.join(sorted(known)) or 'none'}.",
    )
