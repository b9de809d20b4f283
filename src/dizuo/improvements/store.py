"""The row of an improvement."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Id, Json, Millis, Name, ProjectId, Row
from dizuo.improvements.model import Improvement, ImprovementRequest, State


class ImprovementRow(Row):
    """One pass of the loop. `made` holds what its steps produced, by field name."""

    __tablename__ = "improvements"

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


def get(session: Session, improvement_id: str) -> Improvement | None:
    """The improvement with this id, locked for this transaction where the database can."""
    query = select(ImprovementRow).where(ImprovementRow.id == improvement_id).with_for_update()
    row = session.scalar(query)
    return _improvement(row) if row else None


def listing(session: Session, project_id: str) -> list[Improvement]:
    """Every improvement of a project, newest first."""
    query = select(ImprovementRow).where(ImprovementRow.project_id == project_id)
    return [_improvement(row) for row in session.scalars(query.order_by(ImprovementRow.id.desc()))]


def unfinished(session: Session, final: frozenset[str]) -> list[str]:
    """The ids of improvements that are not in one of the `final` states, oldest first."""
    query = select(ImprovementRow.id).where(ImprovementRow.state.not_in(final))
    return list(session.scalars(query.order_by(ImprovementRow.id)))


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
