"""The row of a gate report."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Index, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Digest, Id, Json, Millis, Name, ProjectId, Row
from dizuo.gates.report import GateReport


class GateReportRow(Row):
    """One report of one stack. `digest` covers `report`, so saving it again changes nothing."""

    __tablename__ = "gate_reports"
    __table_args__ = (Index("ix_gate_reports_stack_digest_id", "stack_digest", "id"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    stack_digest: Mapped[Digest]
    digest: Mapped[Digest] = mapped_column(unique=True)
    passed: Mapped[bool]
    run_id: Mapped[Name]
    report: Mapped[Json]
    created_ms: Mapped[Millis]


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report with its id and the run that made it (empty if none did)."""

    id: str
    project_id: str
    digest: str
    run_id: str
    created_ms: int
    report: GateReport


def _stored(row: GateReportRow) -> StoredReport:
    report = GateReport.from_dict(row.report)
    return StoredReport(row.id, row.project_id, row.digest, row.run_id, row.created_ms, report)


def add(session: Session, stored: StoredReport) -> None:
    """Write one report."""
    session.add(
        GateReportRow(
            id=stored.id,
            project_id=stored.project_id,
            stack_digest=stored.report.stack_digest,
            digest=stored.digest,
            passed=stored.report.passed,
            run_id=stored.run_id,
            report=stored.report.as_dict(),
            created_ms=stored.created_ms,
        )
    )
    session.flush()


def by_digest(session: Session, digest: str) -> StoredReport | None:
    """The report with this digest."""
    row = session.scalar(select(GateReportRow).where(GateReportRow.digest == digest))
    return _stored(row) if row else None


def newest(session: Session, project_id: str, stack_digest: str) -> StoredReport | None:
    """The newest report of a stack."""
    query = select(GateReportRow).where(
        GateReportRow.project_id == project_id, GateReportRow.stack_digest == stack_digest
    )
    row = session.scalar(query.order_by(GateReportRow.id.desc()).limit(1))
    return _stored(row) if row else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a stack passed its gates, and when they were measured; without what was measured."""

    stack_digest: str
    passed: bool
    created_ms: int


def verdicts(session: Session, project_id: str, limit: int) -> list[Verdict]:
    """The newest verdicts of a project, newest first."""
    query = select(GateReportRow.stack_digest, GateReportRow.passed, GateReportRow.created_ms)
    query = query.where(GateReportRow.project_id == project_id)
    rows = session.execute(query.order_by(GateReportRow.id.desc()).limit(limit))
    return [Verdict(digest, passed, created_ms) for digest, passed, created_ms in rows]


def verdicts_of(
    session: Session, project_id: str, stack_digests: Collection[str]
) -> dict[str, Verdict]:
    """The newest verdict of each of these stacks that was ever gated."""
    newest = (
        select(func.max(GateReportRow.id))
        .where(
            GateReportRow.project_id == project_id, GateReportRow.stack_digest.in_(stack_digests)
        )
        .group_by(GateReportRow.stack_digest)
    )
    query = select(GateReportRow.stack_digest, GateReportRow.passed, GateReportRow.created_ms)
    rows = session.execute(query.where(GateReportRow.id.in_(newest)))
    return {digest: Verdict(digest, passed, created_ms) for digest, passed, created_ms in rows}
