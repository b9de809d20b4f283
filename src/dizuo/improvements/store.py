"""The row of an improvement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import Index, Select, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Id, Json, Millis, Name, ProjectId, Row
from dizuo.improvements.model import Improvement, ImprovementRequest, Policy, State


class ImprovementRow(Row):
    """One pass of the loop. `made` holds what its steps produced, by field name."""

    __tablename__ = "improvements"
    __table_args__ = (Index("ix_improvements_project_id_state", "project_id", "state"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    state: Mapped[Name]
    request: Mapped[Json]
    needs_approval: Mapped[bool]
    actor: Mapped[Name]
    created_ms: Mapped[Millis]
    updated_ms: Mapped[Millis]
    made: Mapped[Json]
    reason: Mapped[str] = mapped_column(Text, default="")


class PolicyRow(Row):
    """What a project says about its improvements; no row means that it has said nothing."""

    __tablename__ = "improvement_policies"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    require_approval: Mapped[bool]
    actor: Mapped[Name]
    changed_ms: Mapped[Millis]


def _improvement(row: ImprovementRow) -> Improvement:
    request = ImprovementRequest(**{**row.request, "sites": tuple(row.request["sites"])})
    made = dict(row.made)
    versions = tuple(made.pop("dataset_versions", ()))
    return Improvement(
        id=row.id,
        project_id=row.project_id,
        state=State(row.state),
        request=request,
        needs_approval=row.needs_approval,
        actor=row.actor,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        dataset_versions=versions,
        reason=row.reason,
        **made,
    )


def add(session: Session, improvement: Improvement) -> None:
    """Write a new improvement."""
    session.add(
        ImprovementRow(
            id=improvement.id,
            project_id=improvement.project_id,
            state=improvement.state.value,
            request=asdict(improvement.request),
            needs_approval=improvement.needs_approval,
            actor=improvement.actor,
            created_ms=improvement.created_ms,
            updated_ms=improvement.updated_ms,
            made={},
            reason="",
        )
    )
    session.flush()


def get(session: Session, improvement_id: str, *, lock: bool = False) -> Improvement | None:
    """The improvement with this id; with `lock`, no other transaction changes it meanwhile."""
    query = select(ImprovementRow).where(ImprovementRow.id == improvement_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = session.scalar(query)
    return _improvement(row) if row else None


def newest(session: Session, project_id: str, limit: int) -> list[Improvement]:
    """The newest improvements of a project, newest first."""
    query = select(ImprovementRow).where(ImprovementRow.project_id == project_id)
    rows = session.scalars(query.order_by(ImprovementRow.id.desc()).limit(limit))
    return [_improvement(row) for row in rows]


def improvements(session: Session, query: Select[ImprovementRow]) -> list[Improvement]:
    """The improvements that a query selects, in its order."""
    return [_improvement(row) for row in session.scalars(query)]


def ids_outside(session: Session, states: Collection[str]) -> list[str]:
    """The ids of the improvements that are in none of these states, oldest first."""
    query = select(ImprovementRow.id).where(ImprovementRow.state.not_in(states))
    return list(session.scalars(query.order_by(ImprovementRow.id)))


def in_states(session: Session, states: Collection[str]) -> list[Improvement]:
    """The improvements that are in one of these states, oldest first."""
    query = select(ImprovementRow).where(ImprovementRow.state.in_(states))
    return [_improvement(row) for row in session.scalars(query.order_by(ImprovementRow.id))]


def count_in_state(session: Session, project_id: str, state: State) -> int:
    """How many improvements of a project are in this state."""
    query = select(func.count()).where(
        ImprovementRow.project_id == project_id, ImprovementRow.state == state.value
    )
    return session.scalar(query) or 0


def policy(session: Session, project_id: str) -> Policy | None:
    """What a project has said."""
    row = session.get(PolicyRow, project_id)
    return Policy(row.require_approval, row.actor) if row else None


def put_policy(session: Session, project_id: str, policy: Policy, changed_ms: int) -> None:
    """Write what a project says, over what it said before."""
    session.merge(
        PolicyRow(
            project_id=project_id,
            require_approval=policy.require_approval,
            actor=policy.actor,
            changed_ms=changed_ms,
        )
    )
    session.flush()


def note(session: Session, improvement_id: str, reason: str) -> None:
    """Write why an improvement is where it is."""
    session.get_one(ImprovementRow, improvement_id).reason = reason
    session.flush()


def update(
    session: Session,
    improvement_id: str,
    *,
    state: State,
    updated_ms: int,
    reason: str,
    made: dict[str, object],
) -> None:
    """Write a new state and what the step made."""
    row = session.get_one(ImprovementRow, improvement_id)
    row.state = state.value
    row.updated_ms = updated_ms
    row.reason = reason
    row.made = {**row.made, **made}
    session.flush()
