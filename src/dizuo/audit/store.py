"""The row of the audit log."""

from __future__ import annotations

from collections.abc import Generator

from sqlalchemy import Index, Select, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.audit.model import AuditEntry
from dizuo.database.tables import Digest, Json, Millis, Name, ProjectId, Row


class AuditRow(Row):
    """One entry; `sequence` is 1, 2, 3, … without gaps."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_project_id_subject", "project_id", "subject"),
        Index("ix_audit_entries_project_id_actor", "project_id", "actor"),
        Index("ix_audit_entries_project_id_action", "project_id", "action"),
    )

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


def page(session: Session, project_id: str, after: int, limit: int) -> list[AuditEntry]:
    """The first `limit` entries of a project after sequence number `after`, in order."""
    query = select(AuditRow).where(AuditRow.sequence > after, AuditRow.project_id == project_id)
    return [_entry(row) for row in session.scalars(query.order_by(AuditRow.sequence).limit(limit))]


def newest(session: Session, project_id: str, limit: int) -> list[AuditEntry]:
    """The last `limit` entries of a project, in order."""
    query = select(AuditRow).where(AuditRow.project_id == project_id)
    rows = session.scalars(query.order_by(AuditRow.sequence.desc()).limit(limit))
    return [_entry(row) for row in rows][::-1]


def about(
    session: Session, project_id: str, name: str, *, before: int | None = None, limit: int
) -> list[AuditEntry]:
    """The newest entries of what somebody (`site:site3`) did or what was done to them, newest
    first; `before` leaves that sequence number and later ones out."""
    query = select(AuditRow).where(AuditRow.project_id == project_id)
    if before is not None:
        query = query.where(AuditRow.sequence < before)
    query = query.order_by(AuditRow.sequence.desc()).limit(limit)
    # One after the other, each by its own index: asked for both at once, and of somebody who is
    # seldom in it, SQLite would read the whole log.
    done, suffered = (
        entries(session, query.where(column == name))
        for column in (AuditRow.actor, AuditRow.subject)
    )
    found = {entry.sequence: entry for entry in (*done, *suffered)}
    return [found[sequence] for sequence in sorted(found, reverse=True)[:limit]]


def entries(session: Session, query: Select[AuditRow]) -> list[AuditEntry]:
    """The entries that a query selects, in its order."""
    return [_entry(row) for row in session.scalars(query)]


def stream(session: Session, *, after: int = 0) -> Generator[AuditEntry, None, None]:
    """Entries in order, those after sequence number `after`."""
    query = select(AuditRow).where(AuditRow.sequence > after).order_by(AuditRow.sequence)
    result = session.scalars(query.execution_options(yield_per=500))
    try:
        for row in result:
            yield _entry(row)
    finally:
        result.close()  # a reader may stop early; the server's cursor must not outlive it
