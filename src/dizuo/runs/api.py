"""`/api/v1/runs`: asking for runs, watching them, stopping them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from dizuo.access.http import Builder, DatabaseDep, Reader
from dizuo.core.ids import new_id
from dizuo.runs import admission, following, service
from dizuo.runs.events import Position
from dizuo.runs.folder import run_folder
from dizuo.runs.model import Run, RunState
from dizuo.runs.supervisor import Supervisor

_MAX_LOG_BYTES = 16 << 20
_DEFAULT_LOG_BYTES = 1 << 20

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


class RunBody(BaseModel):
    """`kind`, and beside it the keys of that kind: `{"kind": "tune", "recipe": "…"}`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: Annotated[str, Field(min_length=1, max_length=64)]


def _supervisor(request: Request) -> Supervisor:
    return cast(Supervisor, request.app.state.supervisor)


def _home(request: Request) -> Path:
    return cast(Path, request.app.state.home)


def _run(run_id: str, caller: Reader, database: DatabaseDep) -> Run:
    with database.reading() as session:
        return service.get(session, run_id, project_id=caller.project_id)


def _position(last_event_id: Annotated[str | None, Header()] = None) -> Position:
    return Position.parse(last_event_id) if last_event_id else Position()


SupervisorDep = Annotated[Supervisor, Depends(_supervisor)]
HomeDep = Annotated[Path, Depends(_home)]
RunDep = Annotated[Run, Depends(_run)]
PositionDep = Annotated[Position, Depends(_position)]


@router.post("", status_code=201)
def submit(
    body: RunBody,
    caller: Builder,
    supervisor: SupervisorDep,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> dict[str, Any]:
    """Queue a run. With the header `Idempotency-Key`, sending it again changes nothing. A run whose
    outcome was there already answers with status 200 and `"cached": true`."""
    spec = {**(body.model_extra or {}), "project": caller.project_id}
    key = f"api:{idempotency_key}" if idempotency_key else new_id()
    request = admission.RunRequest(body.kind, spec, key, caller.actor, caller.project_id)
    run = admission.admit(supervisor, request)
    if run.cached:
        response.status_code = 200
    return run.as_dict()


@router.get("")
def listing(
    caller: Reader,
    database: DatabaseDep,
    kind: str | None = None,
    state: RunState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The newest runs first."""
    with database.reading() as session:
        runs = service.listing(
            session, project_id=caller.project_id, kind=kind, state=state, limit=limit
        )
    return {"items": [run.as_dict() for run in runs]}


@router.get("/{run_id}")
def show(run: RunDep) -> dict[str, Any]:
    """One run."""
    return run.as_dict()


@router.post("/{run_id}/cancel")
def cancel(
    run_id: str, caller: Builder, database: DatabaseDep, supervisor: SupervisorDep
) -> dict[str, Any]:
    """Stop a run; it says `cancelled` once its process has stopped."""
    with database.transaction() as session:
        run = service.cancel(session, run_id, caller.actor, project_id=caller.project_id)
    supervisor.wake()
    return run.as_dict()


@router.get("/{run_id}/events", response_class=EventSourceResponse)
async def events(
    run: RunDep, after: PositionDep, database: DatabaseDep, home: HomeDep
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: each a Progress, from the start or after `Last-Event-ID`, then live; the
    last one is named `end` and carries the run."""
    async for said in following.follow(database, home, run.id, after):
        if isinstance(said, Run):
            yield ServerSentEvent(event="end", data=said.as_dict())
        else:
            yield ServerSentEvent(data=said.progress, id=str(said.position))


@router.get("/{run_id}/log")
def log(
    run: RunDep,
    home: HomeDep,
    tail_bytes: Annotated[int, Query(ge=1, le=_MAX_LOG_BYTES)] = _DEFAULT_LOG_BYTES,
) -> PlainTextResponse:
    """What the run's processes printed; of a long log the end."""
    return PlainTextResponse(following.read_log(run_folder(home, run.id), tail_bytes))
