"""Pictures of the rows that a stack's gate report shows, and of no others.

An address is no way into the rest of a suite.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from dizuo.console.elements.pictures import picture_found
from dizuo.console.parts import Parts
from dizuo.console.stacks.examples import rows_of
from dizuo.core.numbers import VersionNumber
from dizuo.datasets.model import StoredRow
from dizuo.gates import service as gates
from dizuo.gates.report import RuleResult
from dizuo.stacks.naming import find_stack

router = APIRouter()


@router.get("/stacks/{name}/{version}/rows/{digest}/{column}")
async def picture(
    request: Request, name: str, version: VersionNumber, digest: str, column: str
) -> Response:
    """A picture of a row that the stack's newest gate report shows."""

    def find(parts: Parts, project_id: str) -> object:
        with parts.database.reading() as session:
            row = _row(session, project_id, f"{name}:{version}", digest)
        return row.columns.get(column) if row else None

    return await picture_found(request, find)


def _row(session: Session, project_id: str, stack: str, digest: str) -> StoredRow | None:
    """A row that the newest report of a project's stack shows; None for any other."""
    found = find_stack(session, stack, project_id=project_id)
    report = gates.latest_report(session, found.digest, project_id=project_id)
    rules = report.rules if report else ()
    for suite in {str(one.rule.get("suite")) for one in rules if _shows(one, digest)}:
        if row := rows_of(session, project_id, suite, [digest]).get(digest):
            return row
    return None


def _shows(result: RuleResult, digest: str) -> bool:
    return any(one.row == digest for one in result.worst)
