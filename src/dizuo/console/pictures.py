"""Pictures that rows hold, for pages that show them: one address for each, to be kept by a browser.

The gate has asked for the session; here the project is asked for, and that the row is one which the
page shows: an address is no way into other rows of a suite.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from dizuo.console.examples import picture_type, rows_of
from dizuo.console.parts import Parts
from dizuo.console.visit import CURRENT
from dizuo.core.errors import DizuoError
from dizuo.core.numbers import VersionNumber
from dizuo.datasets.model import StoredRow
from dizuo.gates import service as gates
from dizuo.gates.report import RuleResult
from dizuo.stacks.naming import find_stack

router = APIRouter()
_KEPT = {"Cache-Control": "private, max-age=86400, immutable"}


@router.get("/stacks/{name}/{version}/rows/{digest}/{column}")
async def picture(
    request: Request, name: str, version: VersionNumber, digest: str, column: str
) -> Response:
    """A picture of a row that the stack's newest gate report shows."""
    parts: Parts = request.app.state.parts
    person = CURRENT.get().person
    assert person is not None, "the gate lets nobody else in"
    project_id = person.principal.project_id

    def find() -> bytes | None:
        with parts.database.reading() as session:
            row = _row(session, project_id, f"{name}:{version}", digest)
        value = row.columns.get(column) if row else None
        return value if isinstance(value, bytes) else None

    data = await run_in_threadpool(find)
    kind = picture_type(data)
    if kind is None:
        return PlainTextResponse("There is no such picture.", 404)
    return Response(data, media_type=kind, headers=_KEPT)


def _row(session: Session, project_id: str, stack: str, digest: str) -> StoredRow | None:
    """A row that the newest report of a project's stack shows; None for any other."""
    try:
        found = find_stack(session, stack, project_id=project_id)
        report = gates.latest_report(session, found.digest, project_id=project_id)
        rules = report.rules if report else ()
        for suite in {str(one.rule.get("suite")) for one in rules if _shows(one, digest)}:
            if row := rows_of(session, project_id, suite, [digest]).get(digest):
                return row
    except DizuoError:
        return None
    return None


def _shows(result: RuleResult, digest: str) -> bool:
    return any(one.row == digest for one in result.worst)
