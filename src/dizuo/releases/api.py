"""`/api/v1/releases`: parse and delegate."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from dizuo.access.http import DatabaseDep, Reader, Releaser
from dizuo.releases import service
from dizuo.releases.repository import Repository

router = APIRouter(prefix="/api/v1/releases", tags=["releases"])


class ReleaseBody(BaseModel):
    """Which stack version to sign."""

    model_config = ConfigDict(extra="forbid")

    stack: Annotated[str, Field(max_length=300)]


def _repository(request: Request) -> Repository:
    return cast(Repository, request.app.state.repository)


@router.post("", status_code=201)
def release(
    body: ReleaseBody, request: Request, caller: Releaser, database: DatabaseDep
) -> dict[str, Any]:
    """Sign a stack version whose gates were passed."""
    with database.transaction() as session:
        made = service.release_named(session, _repository(request), body.stack, caller)
    return made.as_dict()


@router.get("")
def listing(
    caller: Reader,
    database: DatabaseDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The newest releases, newest first."""
    with database.reading() as session:
        found = service.listing(session, project_id=caller.project_id, limit=limit)
    return {"items": [one.as_dict() for one in found]}


@router.get("/{key:path}")
def show(key: str, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """One release, by its id or a reference with its version or digest."""
    with database.reading() as session:
        return service.get(session, key, project_id=caller.project_id).as_dict()


@router.post("/{key:path}/withdraw")
def withdraw(key: str, request: Request, caller: Releaser, database: DatabaseDep) -> dict[str, Any]:
    """Take a release back, by its id or a reference with its version or digest."""
    with database.transaction() as session:
        taken = service.withdraw(
            session, _repository(request), key, caller.actor, project_id=caller.project_id
        )
    return taken.as_dict()
