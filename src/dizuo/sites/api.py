"""`/api/v1` for operators: join tokens, sites, rollouts, traces. Parse and delegate."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dizuo.access.http import Admin, DatabaseDep, Reader, Releaser
from dizuo.artifacts.reference import Reference
from dizuo.edge.wire import NameText, ServedAs
from dizuo.releases.repository import Repository
from dizuo.sites import rollouts, service, tracing
from dizuo.stacks import service as stacks
from dizuo.stacks.api import Version

router = APIRouter(prefix="/api/v1", tags=["sites"])

Limit = Annotated[int, Query(ge=1, le=1000)]


def _can_be_dialled(url: str) -> str:
    """`url`, if it names a host, and a port that there can be; every site would fail on it."""
    parts = urlsplit(url)
    if url and (not parts.hostname or parts.port == 0):
        raise ValueError("it names no host or no port")
    return url


HubUrl = Annotated[
    str, Field(pattern=r"^(https?://[^\s]+)?$", max_length=500), AfterValidator(_can_be_dialled)
]


class JoinTokenBody(BaseModel):
    """How a site reaches the hub (the hub's own address if empty), how long it has to join, and
    the name to put into the command that is typed there."""

    model_config = ConfigDict(extra="forbid")

    url: HubUrl = ""
    ttl_seconds: Annotated[int, Field(ge=60, le=30 * 24 * 3600)] = service.DEFAULT_TOKEN_SECONDS
    name: NameText | None = None


class RolloutBody(BaseModel):
    """What to direct which sites to; see `rollouts.start`."""

    model_config = ConfigDict(extra="forbid")

    stack: Annotated[str, Field(max_length=300)]
    sites: Annotated[list[NameText], Field(min_length=1)] | Literal["all"]
    served_as: ServedAs | None = None
    key: Annotated[str, Field(max_length=200)] = ""


@router.post("/join-tokens", status_code=201)
def create_join_token(
    body: JoinTokenBody, request: Request, caller: Admin, database: DatabaseDep
) -> dict[str, Any]:
    """A one-time join token; its text is shown this once."""
    repository = cast(Repository, request.app.state.repository)
    url = body.url or cast(str, request.app.state.settings.url)
    with database.transaction() as session:
        issued = service.create_join_token(
            session,
            caller.actor,
            url,
            repository.root_sha256(),
            ttl_seconds=body.ttl_seconds,
            project_id=caller.project_id,
        )
    issued = replace(issued, site_name=body.name or "")
    return {"token": issued.text, "command": issued.command, "expires_ms": issued.expires_ms}


@router.get("/sites")
def sites(caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """Every site, by name."""
    with database.reading() as session:
        found = service.listing(session, project_id=caller.project_id)
    return {"items": [site.as_dict() for site in found]}


@router.get("/sites/{name}")
def show_site(name: str, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """One site, with every set it was directed to."""
    with database.reading() as session:
        site = service.show(session, name, project_id=caller.project_id)
        history = service.directions(session, name, project_id=caller.project_id)
    return {**site.as_dict(), "directions": history}


@router.delete("/sites/{name}")
def remove_site(name: str, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Let a site go and revoke its credentials; answers with what it was."""
    with database.transaction() as session:
        site = service.remove(session, name, caller.actor, project_id=caller.project_id)
    return site.as_dict()


@router.post("/rollouts", status_code=201)
def start_rollout(body: RolloutBody, caller: Releaser, database: DatabaseDep) -> dict[str, Any]:
    """Direct sites to a released stack."""
    with database.transaction() as session:
        rollout = rollouts.start(
            session,
            body.stack,
            body.sites,
            caller.actor,
            served_as=body.served_as or "",
            key=body.key,
            project_id=caller.project_id,
        )
    return rollout.as_dict()


@router.get("/rollouts")
def list_rollouts(caller: Reader, database: DatabaseDep, limit: Limit = 100) -> dict[str, Any]:
    """The newest rollouts, newest first, without their sites."""
    with database.reading() as session:
        found = rollouts.listing(session, project_id=caller.project_id, limit=limit)
    return {"items": [rollout.as_dict() for rollout in found]}


@router.get("/rollouts/{rollout_id}")
def show_rollout(rollout_id: str, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """One rollout, with its sites."""
    with database.reading() as session:
        return rollouts.get(session, rollout_id, project_id=caller.project_id).as_dict()


@router.post("/rollouts/{rollout_id}/stop")
def stop_rollout(rollout_id: str, caller: Releaser, database: DatabaseDep) -> dict[str, Any]:
    """Go no further."""
    with database.transaction() as session:
        return rollouts.stop(
            session, rollout_id, caller.actor, project_id=caller.project_id
        ).as_dict()


@router.post("/rollouts/{rollout_id}/rollback")
def roll_back(rollout_id: str, caller: Releaser, database: DatabaseDep) -> dict[str, Any]:
    """Direct every site back to what it had."""
    with database.transaction() as session:
        return rollouts.rollback(
            session, rollout_id, caller.actor, project_id=caller.project_id
        ).as_dict()


@router.get("/stacks/{name}/{version}/trace")
def trace(name: str, version: Version, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """Every step from the sites that run this version to the samples it learned from."""
    with database.reading() as session:
        stack = stacks.get(session, Reference(caller.project_id, name, version))
        steps = tracing.trace(session, stack)
    return {"items": [step.as_dict() for step in steps]}
