"""`/api/v1/audit`: parse and delegate.

The routes are here and not beside the log, because the log lies below: it knows no callers.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from dizuo.access.http import DatabaseDep, Reader
from dizuo.audit import service, store
from dizuo.core.digests import DIGEST_PATTERN
from dizuo.core.numbers import WholeNumber

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get("")
def listing(
    caller: Reader,
    database: DatabaseDep,
    after: WholeNumber | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Entries in order: those after a sequence number, or else the newest."""
    with database.reading() as session:
        if after is None:
            entries = store.newest(session, caller.project_id, limit)
        else:
            entries = store.page(session, caller.project_id, after, limit)
    return {"items": [asdict(entry) for entry in entries]}


@router.get("/verify")
def verify(
    _caller: Reader,
    database: DatabaseDep,
    head: Annotated[str, Query(pattern=f"^({DIGEST_PATTERN.pattern})?$")] = "",
) -> dict[str, Any]:
    """Whether the whole chain holds, and still contains the entry that once was its `head`."""
    with database.reading() as session:
        verdict = service.verify(session, expected=head)
    return {"ok": verdict.ok, **asdict(verdict)}
