"""Decisions about runs. Each state change and its audit entry are one transaction, the caller's.

Operators and workflows use `submit`, `cancel`, `get` and `listing`. The rest is the supervisor's:
its changes name the fence they were decided under, and are refused if the run has moved on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_json
from dizuo.core.errors import DizuoError
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.runs import store
from dizuo.runs.errors import RunKeyReused, RunNotFound, StaleFence
from dizuo.runs.model import RUN_MACHINE, Run, RunFilter, RunState

SUPERVISOR = "hub:supervisor"
"""How the audit log names changes that nobody asked for by hand."""


def submit(
    session: Session,
    kind: str,
    spec: dict[str, Any],
    key: str,
    actor: str,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> Run:
    """Queue a run, or return the one that was submitted under this key before.

    Raises:
        RunKeyReused: the key belongs to a run of another kind or with another spec.
    """
    run = _new_run(kind, spec, key, actor, project_id)
    known = store.by_key(session, project_id, key)
    if known is None:
        known = _add(session, run)
    if known.kind != kind or sha256_json(known.spec) != sha256_json(spec):
        raise RunKeyReused(
            f"The key {key!r} was used before for a different run.",
            next_step="Use a new key for new work; repeat a key only to repeat a request.",
        )
    return known


def _new_run(kind: str, spec: dict[str, Any], key: str, actor: str, project_id: str) -> Run:
    return Run(
        id=new_id(),
        project_id=project_id,
        kind=kind,
        key=key,
        spec=spec,
        actor=actor,
        state=RunState(RUN_MACHINE.initial),
        fence=0,
        num_lost=0,
        cached=False,
        outcome=None,
        error=None,
        lease_ms=None,
        cancel_ms=None,
        created_ms=now_ms(),
        started_ms=None,
        finished_ms=None,
    )


def _add(session: Session, run: Run) -> Run:
    try:
        with session.begin_nested():
            store.add(session, run)
    except IntegrityError:  # PostgreSQL: somebody else has just committed the same key
        known = store.by_key(session, run.project_id, run.key)
        if known is None:
            raise
        return known
    detail = {"kind": run.kind, "key": run.key}
    audit.record(
        session, run.actor, "run.submitted", run.subject, detail, project_id=run.project_id
    )
    return run


def get(session: Session, run_id: str, *, project_id: str | None = None) -> Run:
    """The run with this id, of this project if one is named.

    Raises:
        RunNotFound: there is none.
    """
    run = store.find(session, run_id)
    if run is None or project_id not in (None, run.project_id):
        raise _not_found(run_id)
    return run


def listing(
    session: Session,
    *,
    project_id: str = DEFAULT_PROJECT,
    kind: str | None = None,
    state: RunState | None = None,
    limit: int = 100,
) -> list[Run]:
    """The newest runs of a project, newest first."""
    return store.newest(session, project_id, kind=kind, state=state, limit=limit)


def page(session: Session, wanted: RunFilter, *, limit: int, offset: int = 0) -> list[Run]:
    """Runs that a filter lets through, newest first."""
    return store.page(session, wanted, limit=limit, offset=offset)


def num_filtered(session: Session, wanted: RunFilter) -> int:
    """How many runs a filter lets through."""
    return store.num_filtered(session, wanted)


def kinds(session: Session, *, project_id: str = DEFAULT_PROJECT) -> Sequence[str]:
    """The kinds that a project has runs of, by name."""
    return store.kinds(session, project_id)


def counts(session: Session, *, project_id: str = DEFAULT_PROJECT) -> dict[RunState, int]:
    """How many runs of a project are in each state."""
    return store.counts(session, project_id)


def in_state(session: Session, state: RunState) -> list[Run]:
    """Every run in this state, in every project, oldest first."""
    return store.in_state(session, state)


def unfinished(session: Session) -> list[Run]:
    """Every run that has not ended, in every project, oldest first."""
    return store.unfinished(session)


def cancel(session: Session, run_id: str, actor: str, *, project_id: str | None = None) -> Run:
    """Stop a run: a queued one at once, a running one as soon as its worker has stopped.

    Asking again changes nothing.

    Raises:
        RunNotFound: there is no such run.
        TransitionRefused: it has ended already.
    """
    run = _locked(session, run_id)
    if project_id not in (None, run.project_id):
        raise _not_found(run_id)
    if run.state is RunState.QUEUED:
        return _change(session, run, "cancel", actor, {}, cancel_ms=now_ms())
    RUN_MACHINE.apply(run.state, "cancel")
    if run.cancel_ms is not None:
        return run
    audit.record(session, actor, "run.cancel_requested", run.subject, project_id=run.project_id)
    return store.update(session, run.id, {"cancel_ms": now_ms()})


def start(session: Session, run_id: str, lease_ms: int) -> Run:
    """Give a queued run its next fence and a lease.

    Raises:
        TransitionRefused: it is no longer queued.
    """
    run = _locked(session, run_id)
    started = run.started_ms or now_ms()
    fence = run.fence + 1
    return _change(
        session,
        run,
        "start",
        SUPERVISOR,
        {"fence": fence},
        fence=fence,
        lease_ms=lease_ms,
        started_ms=started,
    )


def reuse(session: Session, run_id: str, outcome: dict[str, Any]) -> Run:
    """End a queued run whose outcome was there already.

    Raises:
        TransitionRefused: it is no longer queued.
    """
    run = _locked(session, run_id)
    return _change(session, run, "reuse", SUPERVISOR, outcome, outcome=outcome, cached=True)


def renew_lease(session: Session, run_id: str, fence: int, lease_ms: int) -> Run:
    """Believe in the worker for longer. Not a state change, so not audited.

    Raises:
        StaleFence: the run is no longer running under this fence.
    """
    current_attempt(session, run_id, fence)
    return store.update(session, run_id, {"lease_ms": lease_ms})


def succeed(session: Session, run_id: str, fence: int, outcome: dict[str, Any]) -> Run:
    """Accept the result of the current attempt.

    Raises:
        StaleFence: the run is no longer running under this fence.
    """
    run = current_attempt(session, run_id, fence)
    return _change(session, run, "succeed", SUPERVISOR, outcome, outcome=outcome)


def fail(session: Session, run_id: str, fence: int, error: DizuoError | dict[str, Any]) -> Run:
    """End a run for a reason; `error` is one, or the inner dict of `DizuoError.as_dict()`.

    Raises:
        StaleFence: the run has another fence by now.
        TransitionRefused: it has ended already.
    """
    run = _locked(session, run_id)
    _require_fence(run, fence)
    inner = error.as_dict()["error"] if isinstance(error, DizuoError) else error
    assert isinstance(inner, dict)
    detail = {"code": inner.get("code", ""), "message": inner.get("message", "")}
    return _change(session, run, "fail", SUPERVISOR, detail, error=inner)


def cancelled(session: Session, run_id: str, fence: int) -> Run:
    """Note that a running run has stopped because somebody asked for it.

    Raises:
        StaleFence: the run is no longer running under this fence.
    """
    run = current_attempt(session, run_id, fence)
    return _change(session, run, "cancel", SUPERVISOR, {})


def requeue(session: Session, run_id: str, fence: int, *, lost: bool, reason: str) -> Run:
    """Queue a run again whose worker is gone; `lost` says that it ended without a word.

    Raises:
        StaleFence: the run is no longer running under this fence.
    """
    run = current_attempt(session, run_id, fence)
    num_lost = run.num_lost + int(lost)
    detail = {"fence": fence, "reason": reason}
    return _change(session, run, "requeue", SUPERVISOR, detail, num_lost=num_lost, lease_ms=None)


def current_attempt(session: Session, run_id: str, fence: int) -> Run:
    """The run, locked against other writers, if it is running under this very fence.

    Raises:
        StaleFence: it is not.
    """
    run = _locked(session, run_id)
    _require_fence(run, fence)
    if run.state is not RunState.RUNNING:
        raise StaleFence(f"The run {run_id} is {run.state} and takes no result any more.")
    return run


def _require_fence(run: Run, fence: int) -> None:
    if run.fence != fence:
        raise StaleFence(f"Attempt {fence} of run {run.id} was replaced by attempt {run.fence}.")


def _locked(session: Session, run_id: str) -> Run:
    run = store.find(session, run_id, for_update=True)
    if run is None:
        raise _not_found(run_id)
    return run


def _not_found(run_id: str) -> RunNotFound:
    return RunNotFound(f"There is no run {run_id[:80]}.", next_step="List them: dizuo runs ls.")


def _change(
    session: Session, run: Run, name: str, actor: str, detail: dict[str, Any], **changes: Any
) -> Run:
    target = RunState(RUN_MACHINE.apply(run.state, name))
    if target.value in RUN_MACHINE.final_states:
        changes["finished_ms"] = now_ms()
    audit.record(
        session, actor, f"run.{_PAST[name]}", run.subject, detail, project_id=run.project_id
    )
    return store.update(session, run.id, {"state": target, **changes})


_PAST = {
    "start": "started",
    "reuse": "reused",
    "succeed": "succeeded",
    "fail": "failed",
    "cancel": "cancelled",
    "requeue": "requeued",
}
