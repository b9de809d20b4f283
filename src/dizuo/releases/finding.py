"""Finding releases, and what could be one, by the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, cast, exists, func, select
from sqlalchemy.orm import Session

from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.gates.store import GateReportRow
from dizuo.releases import store
from dizuo.releases.model import Release, ReleaseState
from dizuo.releases.store import ReleaseRow
from dizuo.stacks.store import StackRow


@dataclass(frozen=True, slots=True)
class ReleaseFilter:
    """Which releases: a part of `name:version` or the beginning of a digest, and their state; what
    is empty lets all through."""

    text: str = ""
    state: ReleaseState | None = None
    project_id: str = DEFAULT_PROJECT


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stack version that passed its gates, when they were measured, and was never released."""

    name: str
    version: int
    level: str
    digest: str
    passed_ms: int

    @property
    def stack(self) -> str:
        """The stack version, as people write it."""
        return f"{self.name}:{self.version}"


def find(session: Session, wanted: ReleaseFilter, *, limit: int, offset: int = 0) -> list[Release]:
    """Some of the releases that the filter lets through, newest first."""
    query = select(ReleaseRow).where(*_conditions(wanted)).order_by(ReleaseRow.id.desc())
    return store.releases_of(session, query.limit(limit).offset(offset))


def count_states(session: Session, wanted: ReleaseFilter) -> Mapping[ReleaseState, int]:
    """How many releases the filter lets through, by state."""
    query = select(ReleaseRow.state, func.count()).where(*_conditions(wanted))
    found = session.execute(query.group_by(ReleaseRow.state))
    return {ReleaseState(state): number for state, number in found}


def candidates(
    session: Session, *, project_id: str = DEFAULT_PROJECT, limit: int
) -> list[Candidate]:
    """What `release` would sign: stack versions whose newest gate report passed and that have no
    release, not even one that was withdrawn; the newest measured first."""
    newest = (
        select(func.max(GateReportRow.id))
        .where(
            GateReportRow.project_id == project_id,
            GateReportRow.stack_digest == StackRow.digest,
        )
        .correlate(StackRow)
        .scalar_subquery()
    )
    released = exists().where(
        ReleaseRow.project_id == project_id, ReleaseRow.digest == StackRow.digest
    )
    query = (
        select(
            StackRow.name,
            StackRow.version,
            StackRow.level,
            StackRow.digest,
            GateReportRow.created_ms,
        )
        .join(GateReportRow, GateReportRow.id == newest)
        .where(StackRow.project_id == project_id, GateReportRow.passed, ~released)
        .order_by(GateReportRow.id.desc())
        .limit(limit)
    )
    return [Candidate(*row) for row in session.execute(query)]


def _conditions(wanted: ReleaseFilter) -> list[ColumnElement[bool]]:
    conditions = [ReleaseRow.project_id == wanted.project_id]
    if wanted.text:
        text = wanted.text.lower().removeprefix("sha256:")
        stack = ReleaseRow.name + ":" + cast(ReleaseRow.version, String)
        conditions.append(
            stack.contains(text, autoescape=True)
            | ReleaseRow.digest.startswith(f"sha256:{text}", autoescape=True)
        )
    if wanted.state is not None:
        conditions.append(ReleaseRow.state == wanted.state.value)
    return conditions
