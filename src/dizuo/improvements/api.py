"""`/api/v1/improvements`: parse and delegate."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from dizuo.access.http import Admin, Builder, DatabaseDep, Reader, Releaser
from dizuo.improvements import policy as policies
from dizuo.improvements import service, store
from dizuo.improvements.bodies import ImprovementBody
from dizuo.improvements.improver import Improver
from dizuo.improvements.model import Improvement

router = APIRouter(prefix="/api/v1/improvements", tags=["improvements"])

Limit = Annotated[int, Query(ge=1, le=1000)]


class PolicyBody(BaseModel):
    """What a project says about its improvements; see `Policy`."""

    model_config = ConfigDict(extra="forbid")

    require_approval: bool


class RejectBody(BaseModel):
    """Why somebody turns an improvement down."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=service.MAX_REASON)] = ""


def _improver(request: Request) -> Improver:
    return cast(Improver, request.app.state.improver)


def as_json(improvement: Improvement) -> dict[str, Any]:
    """The JSON form."""
    return asdict(improvement)


@router.post("", status_code=201)
def start(body: ImprovementBody, request: Request, caller: Builder) -> dict[str, Any]:
    """Start the loop: it begins as soon as enough samples are reviewed."""
    started = _improver(request).start(body.request, caller, source_name=body.source_name)
    return as_json(started)


@router.get("")
def listing(caller: Reader, database: DatabaseDep, limit: Limit = 100) -> dict[str, Any]:
    """The newest improvements, newest first."""
    with database.reading() as session:
        found = store.newest(session, caller.project_id, limit)
    return {"items": [as_json(one) for one in found]}


@router.get("/policy")
def show_policy(request: Request, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """Whether a person must approve the project's improvements, and who said so."""
    default = request.app.state.settings.require_approval
    with database.reading() as session:
        return asdict(policies.policy(session, caller.project_id, default=default))


@router.put("/policy")
def set_policy(body: PolicyBody, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Say for the project whether a person must approve, whatever the hub's setting is."""
    with database.transaction() as session:
        said = policies.set_policy(
            session,
            caller.project_id,
            caller.actor,
            require_approval=body.require_approval,
        )
    return asdict(said)


@router.get("/{improvement_id}")
def show(improvement_id: str, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """One improvement."""
    with database.reading() as session:
        return as_json(service.get(session, improvement_id, project_id=caller.project_id))


@router.post("/{improvement_id}/approve")
def approve(improvement_id: str, request: Request, caller: Releaser) -> dict[str, Any]:
    """Let it be released."""
    return as_json(_improver(request).decide(improvement_id, caller, approve=True))


@router.post("/{improvement_id}/reject")
def reject(
    improvement_id: str, request: Request, caller: Releaser, body: RejectBody | None = None
) -> dict[str, Any]:
    """End it without a release, where it waits for approval or for reviews; perhaps say why."""
    reason = body.reason if body else ""
    decided = _improver(request).decide(improvement_id, caller, approve=False, reason=reason)
    return as_json(decided)
