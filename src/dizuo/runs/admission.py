"""Letting a run in: what cannot be done is refused before anything is queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dizuo.runs import service, store
from dizuo.runs.kinds import choose_kind
from dizuo.runs.model import Run, RunState
from dizuo.runs.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What somebody wants run. `key` makes asking twice the same as asking once."""

    kind: str
    spec: dict[str, Any]
    key: str
    actor: str
    project_id: str


def admit(supervisor: Supervisor, request: RunRequest) -> Run:
    """Check a request and queue it; if its outcome is there already, the run has succeeded at once
    and says so by `cached`. A request that was let in before is not checked again.

    Raises:
        UnknownRunKind: nothing installed does this.
        RunKeyReused: the key belongs to another request.
        DizuoError: the kind refuses it, and nothing has changed.
    """
    kind = choose_kind(supervisor.kinds, request.kind)
    database = supervisor.context.database
    with database.reading() as session:
        known = store.by_key(session, request.project_id, request.key)
        outcome = None if known else kind.check(supervisor.context, session, request.spec)
    with database.transaction() as session:
        run = service.submit(
            session,
            request.kind,
            request.spec,
            request.key,
            request.actor,
            project_id=request.project_id,
        )
        if outcome is not None and run.state is RunState.QUEUED:
            run = service.reuse(session, run.id, outcome)
    supervisor.wake()
    return run
