"""Keeping reports, by the digest of the stack they are about."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.errors import InvalidInput
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.gates import store
from dizuo.gates.report import GateReport
from dizuo.gates.store import StoredReport, Verdict


def save_report(
    session: Session,
    stack_digest: str,
    report: GateReport,
    *,
    actor: str = "hub",
    run_id: str = "",
    project_id: str = DEFAULT_PROJECT,
) -> StoredReport:
    """Keep a report, with its audit entry. Saving the same report again changes nothing.

    Raises:
        InvalidInput: the report is about another stack.
    """
    if report.stack_digest != stack_digest:
        raise InvalidInput(f"The report is about {report.stack}, not about {stack_digest}.")
    known = store.by_digest(session, report.digest)
    if known is not None:
        return known
    stored = StoredReport(new_id(), project_id, report.digest, run_id, now_ms(), report)
    store.add(session, stored)
    detail = {
        "stack_digest": stack_digest,
        "report": stored.digest,
        "passed": report.passed,
        "num_passed": report.num_passed,
        "num_rules": len(report.rules),
        "run": run_id,
    }
    subject = f"stack:{report.stack}"
    audit.record(session, actor, "stack.gated", subject, detail, project_id=project_id)
    return stored


def latest_stored(
    session: Session, stack_digest: str, *, project_id: str = DEFAULT_PROJECT
) -> StoredReport | None:
    """The newest report of a stack with its id, or None if it has never been gated.

    Raises:
        ReportDamaged: what is kept is not a report.
    """
    return store.newest(session, project_id, stack_digest)


def latest_report(
    session: Session, stack_digest: str, *, project_id: str = DEFAULT_PROJECT
) -> GateReport | None:
    """The newest report of a stack, or None if it has never been gated.

    Raises:
        ReportDamaged: what is kept is not a report.
    """
    stored = latest_stored(session, stack_digest, project_id=project_id)
    return stored.report if stored else None


def latest_verdicts(
    session: Session, *, project_id: str = DEFAULT_PROJECT, limit: int = 20
) -> list[Verdict]:
    """Which stacks were gated last, newest first, and whether they passed."""
    return store.verdicts(session, project_id, limit)


def verdicts_of(
    session: Session, stack_digests: Collection[str], *, project_id: str = DEFAULT_PROJECT
) -> dict[str, Verdict]:
    """The newest verdict of each of these stacks, by digest; those never gated are left out."""
    return store.verdicts_of(session, project_id, stack_digests)
