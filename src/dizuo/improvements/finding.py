"""Pages of a project's improvements: what waits, is under way, was decided, has ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dizuo.audit import finding as audit
from dizuo.audit.finding import EntryFilter
from dizuo.audit.model import AuditEntry
from dizuo.improvements import store
from dizuo.improvements.model import IMPROVEMENT_MACHINE, Improvement, State
from dizuo.improvements.store import ImprovementRow

ENDED = frozenset(map(State, IMPROVEMENT_MACHINE.final_states))
"""The states in which nothing more happens."""
UNDER_WAY = frozenset(State) - ENDED - {State.AWAITING_APPROVAL}
"""The states that lead on without somebody's approval."""
DECISIONS = ("improvement.approve", "improvement.reject")
"""How the audit log names what a person said."""
_SUBJECT = "improvement:"


def page(
    session: Session,
    project_id: str,
    states: Collection[State],
    *,
    limit: int,
    offset: int = 0,
) -> list[Improvement]:
    """Improvements of a project in one of these states, newest first."""
    query = select(ImprovementRow).where(
        ImprovementRow.project_id == project_id,
        ImprovementRow.state.in_([one.value for one in states]),
    )
    query = query.order_by(ImprovementRow.id.desc()).limit(limit).offset(offset)
    return store.improvements(session, query)


def counts(session: Session, project_id: str) -> Mapping[State, int]:
    """How many improvements of a project are in each state that any is in."""
    query = select(ImprovementRow.state, func.count())
    query = query.where(ImprovementRow.project_id == project_id).group_by(ImprovementRow.state)
    return {State(state): number for state, number in session.execute(query)}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said about an improvement, as the audit log has it."""

    entry: AuditEntry
    improvement: Improvement

    @property
    def approved(self) -> bool:
        """Whether they let it be released."""
        return self.entry.action == DECISIONS[0]


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Some decisions, newest first, and whether there are older ones."""

    decisions: tuple[Decision, ...]
    has_older: bool


def decided(session: Session, project_id: str, *, before: int = 0, limit: int) -> DecisionPage:
    """What people said about a project's improvements, newest first; `before` is the number of an
    audit entry, which is left out with all that came later."""
    found = audit.page(
        session, project_id, EntryFilter(actions=DECISIONS), before=before, limit=limit
    )
    ids = [entry.subject.removeprefix(_SUBJECT) for entry in found.entries]
    query = select(ImprovementRow).where(
        ImprovementRow.project_id == project_id, ImprovementRow.id.in_(ids)
    )
    known = {one.id: one for one in store.improvements(session, query)}
    decisions = tuple(
        Decision(entry, known[key])
        for key, entry in zip(ids, found.entries, strict=True)
        if key in known
    )
    return DecisionPage(decisions, found.has_older)


def steps(session: Session, improvement: Improvement) -> Sequence[AuditEntry]:
    """What happened to an improvement, oldest first."""
    wanted = EntryFilter(subject=f"{_SUBJECT}{improvement.id}")
    return audit.page(session, improvement.project_id, wanted, limit=audit.MAX_LIMIT).entries[::-1]
