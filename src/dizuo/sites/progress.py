"""How a rollout goes on, read from what its sites say when they check in.

Locks are always taken in one order (sites, then rollouts, then the audit log), so that check-ins
and operators never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.edge.site_machine import EMPTY, FALLEN_BACK
from dizuo.edge.wire import Direction
from dizuo.sites import rollout_store as store
from dizuo.sites.model import Site
from dizuo.sites.rollout_model import (
    ENTRY_MACHINE,
    OPEN_ENTRY,
    ROLLOUT_MACHINE,
    Entry,
    EntryState,
    Rollout,
    RolloutState,
)

_NO_GENERATION = -1
_PAST = {
    "tell": "told",
    "finish": "finished",
    "supersede": "superseded",
    "fail": "failed",
    "stop": "stopped",
    "roll_back": "rolled_back",
    "progress": "progressing",
}


def failed_generation(site: Site) -> int:
    """The generation that a site gave up on, or -1."""
    resting = site.state in (EMPTY, FALLEN_BACK)
    return site.error.generation if site.error and resting else _NO_GENERATION


def judge(entry: Entry, direction: Direction, site: Site) -> str | None:
    """The transition that a site's words call for, or None.

    What counts is what really answers: a site has arrived when a generation at least as new as the
    entry's answers with the very digest. A generation that came after and fails takes the earlier
    ones with it, for the site never tried those by themselves.
    """
    if site.running.generation >= entry.generation:
        if not entry.is_open:
            return None
        here = site.runs(direction.served_as)
        return "finish" if here and here.digest == direction.digest else "supersede"
    if failed_generation(site) >= entry.generation:
        return "fail"
    if entry.state is EntryState.PENDING and site.told_generation >= entry.generation:
        return "tell"
    return None


def follow(session: Session, site: Site, actor: str) -> None:
    """Move every rollout that this site is in to where the site's words put it.

    The caller holds the site's row.
    """
    entries = store.entries_of_site(session, site.id, failed_generation(site))
    rollouts = {one.id: one for one in store.lock(session, (e.rollout_id for e in entries))}
    moved: dict[str, str] = {}
    for entry in entries:
        name = judge(entry, rollouts[entry.rollout_id].direction, site)
        if name is not None:
            reason = _fault(site) if name == "fail" else ""
            move(session, entry, name, actor, reason)
            moved[entry.rollout_id] = f"{site.name} fell back ({reason})" if reason else ""
    for rollout_id, reason in moved.items():
        settle(session, rollouts[rollout_id], actor, reason)


def move(session: Session, entry: Entry, name: str, actor: str, reason: str) -> None:
    """Change one site of a rollout, with its audit entry.

    Raises:
        TransitionRefused: the entry's state does not allow it.
    """
    state = EntryState(ENTRY_MACHINE.apply(entry.state, name))
    changes = {"state": state, "reason": reason, "updated_ms": now_ms()}
    store.change_entry(session, entry.id, changes)
    subject = f"rollout:{entry.rollout_id}:{entry.site_name}"
    detail = {"generation": entry.generation, "reason": reason}
    action = f"rollout_site.{_PAST[name]}"
    audit.record(session, actor, action, subject, detail, project_id=entry.project_id)


def settle(session: Session, rollout: Rollout, actor: str, reason: str) -> None:
    """Bring a rollout's state in line with those of its sites, one of which has just changed. The
    caller holds the rollout."""
    name = _due(rollout, store.count_states(session, rollout.id))
    if name is not None:
        change(session, rollout, name, actor, reason)


def change(session: Session, rollout: Rollout, name: str, actor: str, reason: str) -> None:
    """Change a rollout, with its audit entry. The caller holds the rollout.

    Raises:
        TransitionRefused: the rollout's state does not allow it.
    """
    state = RolloutState(ROLLOUT_MACHINE.apply(rollout.state, name))
    store.change(session, rollout.id, {"state": state, "reason": reason, "updated_ms": now_ms()})
    detail = {"stack": rollout.stack, "reason": reason}
    action = f"rollout.{_PAST[name]}"
    audit.record(session, actor, action, rollout.subject, detail, project_id=rollout.project_id)


def _due(rollout: Rollout, counts: Mapping[EntryState, int]) -> str | None:
    if counts.get(EntryState.FAILED):
        failing = rollout.is_open or rollout.state is RolloutState.DONE
        return "fail" if failing else None
    if not any(counts.get(state) for state in OPEN_ENTRY):
        return "finish" if counts.get(EntryState.DONE) else "supersede"
    started = any(count for state, count in counts.items() if state is not EntryState.PENDING)
    return "progress" if started and rollout.state is RolloutState.PENDING else None


def _fault(site: Site) -> str:
    return f"{site.error.code}: {site.error.message}" if site.error else "it has nothing to serve"
