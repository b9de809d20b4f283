"""The row of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import JSON, Select, Text, UniqueConstraint, cast, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Id, Json, Millis, Name, ProjectId, Row
from dizuo.runs.model import FINAL_STATES, Run, RunFilter, RunState


class RunRow(Row):
    """One run; `key` makes submitting it idempotent within its project."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("project_id", "key"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    kind: Mapped[Name]
    key: Mapped[str] = mapped_column(Text)
    spec: Mapped[Json]
    actor: Mapped[Name]
    state: Mapped[Name] = mapped_column(index=True)
    fence: Mapped[int]
    num_lost: Mapped[int]
    cached: Mapped[bool]
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    lease_ms: Mapped[Millis | None]
    cancel_ms: Mapped[Millis | None]
    created_ms: Mapped[Millis]
    started_ms: Mapped[Millis | None]
    finished_ms: Mapped[Millis | None]


_COLUMNS = tuple(field.name for field in fields(Run))


def _run(row: RunRow) -> Run:
    values = {name: getattr(row, name) for name in _COLUMNS}
    return Run(**{**values, "state": RunState(row.state)})


def add(session: Session, run: Run) -> None:
    """Write a new run."""
    values = {name: getattr(run, name) for name in _COLUMNS}
    session.add(RunRow(**{**values, "state": run.state.value}))
    session.flush()


def update(session: Session, run_id: str, changes: dict[str, Any]) -> Run:
    """Change columns of an existing run and return it as it is then."""
    row = session.get_one(RunRow, run_id)
    for name, value in changes.items():
        setattr(row, name, value.value if isinstance(value, RunState) else value)
    session.flush()
    return _run(row)


def find(session: Session, run_id: str, *, for_update: bool = False) -> Run | None:
    """The run with this id; `for_update` keeps other writers off it until the transaction ends."""
    row = session.get(RunRow, run_id, with_for_update=for_update, populate_existing=True)
    return _run(row) if row else None


def by_key(session: Session, project_id: str, key: str) -> Run | None:
    """The run that was submitted under this key."""
    query = select(RunRow).where(RunRow.project_id == project_id, RunRow.key == key)
    row = session.scalar(query)
    return _run(row) if row else None


def in_state(session: Session, state: RunState) -> list[Run]:
    """Runs of every project in this state, oldest first."""
    query = select(RunRow).where(RunRow.state == state.value).order_by(RunRow.id)
    return [_run(row) for row in session.scalars(query)]


def unfinished(session: Session) -> list[Run]:
    """Runs of every project that have not ended, oldest first."""
    ended = [state.value for state in FINAL_STATES]
    query = select(RunRow).where(RunRow.state.not_in(ended)).order_by(RunRow.id)
    return [_run(row) for row in session.scalars(query)]


def newest(
    session: Session,
    project_id: str,
    *,
    kind: str | None = None,
    state: RunState | None = None,
    limit: int,
) -> list[Run]:
    """The newest runs of a project, newest first."""
    query = select(RunRow).where(RunRow.project_id == project_id)
    if kind is not None:
        query = query.where(RunRow.kind == kind)
    if state is not None:
        query = query.where(RunRow.state == state.value)
    query = query.order_by(RunRow.id.desc()).limit(limit)
    return [_run(row) for row in session.scalars(query)]


def counts(session: Session, project_id: str) -> dict[RunState, int]:
    """How many runs of a project are in each state."""
    query = select(RunRow.state, func.count()).where(RunRow.project_id == project_id)
    return {
        RunState(state): number for state, number in session.execute(query.group_by(RunRow.state))
    }


def page(session: Session, wanted: RunFilter, *, limit: int, offset: int) -> list[Run]:
    """Runs that a filter lets through, newest first."""
    query = _filtered(select(RunRow), wanted).order_by(RunRow.id.desc())
    return [_run(row) for row in session.scalars(query.limit(limit).offset(offset))]


def num_filtered(session: Session, wanted: RunFilter) -> int:
    """How many runs a filter lets through."""
    return session.scalar(_filtered(select(func.count()).select_from(RunRow), wanted)) or 0


def kinds(session: Session, project_id: str) -> Sequence[str]:
    """The kinds that a project has runs of."""
    query = select(RunRow.kind).where(RunRow.project_id == project_id)
    return session.scalars(query.distinct().order_by(RunRow.kind)).all()


def _filtered(query: Select[Any], wanted: RunFilter) -> Select[Any]:
    query = query.where(RunRow.project_id == wanted.project_id)
    if wanted.kind:
        query = query.where(RunRow.kind == wanted.kind)
    if wanted.state is not None:
        query = query.where(RunRow.state == wanted.state.value)
    if wanted.text:
        written = json.dumps(wanted.text)[1:-1]  # as the columns hold it
        places = (cast(RunRow.spec, Text), cast(RunRow.outcome, Text))
        found = [func.lower(place).contains(written.lower(), autoescape=True) for place in places]
        query = query.where(or_(*found, RunRow.id == wanted.text))
    return query
