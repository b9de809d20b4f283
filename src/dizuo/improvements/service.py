"""Starting an improvement, deciding on it, and doing the work of each of its states.

Every state's work ends in one transaction that writes what the step made, the next state and the
audit entry. What lies outside the database (a Lance version, a signature) is idempotent, so a state
whose work was cut off is simply done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from dizuo.access.model import Principal
from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.improvements import store
from dizuo.improvements.errors import ImprovementNotFound, ImprovementRefused
from dizuo.improvements.model import (
    IMPROVEMENT_MACHINE,
    Improvement,
    ImprovementRequest,
    State,
)

_MAX_HOLDOUT = 0.5
MAX_REASON = 500
"""How many characters of a person's reason for a decision are kept."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one state's work led to: the rule to apply, what was made, and why."""

    rule: str
    made: Mapping[str, object]
    reason: str = ""


def start(
    session: Session,
    request: ImprovementRequest,
    actor: str,
    *,
    needs_approval: bool,
    project_id: str = DEFAULT_PROJECT,
) -> Improvement:
    """Write a new improvement; it begins once enough of what sites return has been reviewed.

    Raises:
        ImprovementRefused: a number is out of bounds, or no site is named.
    """
    _require_bounds(request)
    now = now_ms()
    improvement = Improvement(
        id=new_id(),
        project_id=project_id,
        state=State(IMPROVEMENT_MACHINE.initial),
        request=request,
        needs_approval=needs_approval,
        actor=actor,
        created_ms=now,
        updated_ms=now,
    )
    store.add(session, improvement)
    detail = {
        "dataset": request.dataset,
        "sites": list(request.sites),
        "min_samples": request.min_samples,
    }
    audit.record(
        session,
        actor,
        "improvement.started",
        _subject(improvement.id),
        detail,
        project_id=project_id,
    )
    return improvement


def _require_bounds(request: ImprovementRequest) -> None:
    if not 0 < request.holdout <= _MAX_HOLDOUT:
        raise ImprovementRefused(
            f"The holdout {request.holdout} is out of bounds.",
            next_step=f"Choose a share above 0 and at most {_MAX_HOLDOUT}.",
        )
    if request.min_samples < 0:
        raise ImprovementRefused(
            f"The number of samples to wait for cannot be {request.min_samples}.",
            next_step="Choose 1 or more, or 0 to begin at once.",
        )
    if not request.sites:
        raise ImprovementRefused(
            "No site is named to get the result.", next_step="Name at least one with --site."
        )


def get(
    session: Session, improvement_id: str, *, project_id: str | None = None, lock: bool = False
) -> Improvement:
    """The improvement with this id, of this project if one is named.

    With `lock`, no other transaction changes it until this one ends.

    Raises:
        ImprovementNotFound: there is none.
    """
    improvement = store.get(session, improvement_id, lock=lock)
    if improvement is None or project_id not in (None, improvement.project_id):
        raise ImprovementNotFound(
            f"There is no improvement {improvement_id[:80]!r}.",
            next_step="List them with: dizuo improve status",
        )
    return improvement


def num_awaiting_approval(session: Session, *, project_id: str = DEFAULT_PROJECT) -> int:
    """How many improvements of a project wait for somebody to let them be released."""
    return store.count_in_state(session, project_id, State.AWAITING_APPROVAL)


def decide(
    session: Session,
    improvement_id: str,
    caller: Principal,
    *,
    approve: bool,
    reason: str = "",
) -> Improvement:
    """A person's word on an improvement that waits. Whoever approves is kept: what is signed and
    rolled out then is theirs. What still waits for reviews can be rejected, too. `reason` is why,
    in their words, and is kept with the decision.

    Raises:
        ImprovementRefused: the reason is too long.
        ImprovementNotFound: the caller's project has none.
        TransitionRefused: it does not wait for that.
    """
    improvement = get(session, improvement_id, project_id=caller.project_id, lock=True)
    why = _why(reason)
    if approve:
        step = Step("approve", {"approver": caller.actor}, f"Approved by {caller.actor}{why}")
    else:
        step = Step("reject", {}, f"Rejected by {caller.actor}{why}")
    return move(session, improvement, step, caller.actor)


def _why(reason: str) -> str:
    """How a person's reason ends the sentence about their decision."""
    said = " ".join(reason.split())
    if len(said) > MAX_REASON:
        raise ImprovementRefused(
            f"The reason has {len(said):,} characters; at most {MAX_REASON} are kept.",
            next_step="Say it in fewer words.",
        )
    return f": {said}" if said else "."


def move(session: Session, improvement: Improvement, step: Step, actor: str) -> Improvement:
    """Apply one rule: the new state, what was made and the audit entry, in this transaction.

    Raises:
        TransitionRefused: the rule does not lead from the present state.
    """
    state = State(IMPROVEMENT_MACHINE.apply(improvement.state, step.rule))
    made = dict(step.made)
    store.update(
        session,
        improvement.id,
        state=state,
        updated_ms=now_ms(),
        reason=step.reason,
        made=made,
    )
    detail = {"state": state.value, "reason": step.reason, **made}
    detail.pop("recipe_used", None)
    audit.record(
        session,
        actor,
        f"improvement.{step.rule}",
        _subject(improvement.id),
        detail,
        project_id=improvement.project_id,
    )
    return get(session, improvement.id)


def note(session: Session, improvement: Improvement, reason: str) -> Improvement:
    """Say on an improvement why it is where it is. Its state does not change, so this is not
    audited."""
    if reason != improvement.reason:
        store.note(session, improvement.id, reason)
    return replace(improvement, reason=reason)


def _subject(improvement_id: str) -> str:
    return f"improvement:{improvement_id}"
