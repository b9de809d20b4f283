"""The row of the audit log."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.audit.model import AuditEntry
from dizuo.database.tables import Digest, Json, Millis, Name, ProjectId, Row


class AuditRow(Row):
    """One entry; `sequence` is 1, 2, 3, … without gaps."""

    __tablename__ = "audit_entries"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    project_id: Mapped[ProjectId]
    at_ms: Mapped[Millis]
    actor: Mapped[Name]
    action: Mapped[Name]
    subject: Mapped[str] = mapped_column(Text)
    detail: Mapped[Json]
    previous: Mapped[Digest]
    digest: Mapped[Digest]


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        sequence=row.sequence,
        project_id=row.project_id,
        at_ms=row.at_ms,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        detail=row.detail,
        previous=row.previous,
        digest=row.digest,
    )


def last(session: Session) -> AuditEntry | None:
    """The newest entry."""
    row = session.scalar(select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1))
    return _entry(row) if row else None


def add(session: Session, entry: AuditEntry) -> None:
    """Write one entry."""
    session.add(
        AuditRow(
            sequence=entry.sequence,
            project_id=entry.project_id,
            at_ms=entry.at_ms,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            detail=entry.detail,
            previous=entry.previous,
            digest=entry.digest,
        )
    )
    session.flush()


def stream(session: Session, *, after: int = 0) -> Iterator[AuditEntry]:
    """Entries in order, those after sequence number `after`."""
    query = select(AuditRow).where(AuditRow.sequence > after).order_by(AuditRow.sequence)
    for row in session.scalars(query.execution_options(yield_per=500)):
        yield _entry(row)
