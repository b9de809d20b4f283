"""Looking things up in the log: pages of a project's entries, narrowed by who, what and to what."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from dizuo.audit import store
from dizuo.audit.errors import EntryNotFound
from dizuo.audit.model import AuditEntry
from dizuo.audit.store import AuditRow
from dizuo.database.values import known_values

ACTOR_KINDS = ("person", "operator", "site", "registry", "workflow", "hub", "join_token")
"""What may stand before a colon in an actor."""
SUBJECT_KINDS = (
    "account",
    "credential",
    "dataset",
    "improvement",
    "join_token",
    "project",
    "release",
    "rollout",
    "root",
    "run",
    "sample",
    "site",
    "stack",
    "target",
)
"""What may stand before a colon in a subject."""
MAX_LIMIT = 200
"""How many entries a page has at most."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries; empty fields let all through.

    `actor` and `subject` are as the log has them (`person:mei`), or without their kind (`mei`);
    `actions` lets each of its own through.
    """

    actor: str = ""
    actions: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Some entries, newest first, and whether there are newer and older ones."""

    entries: tuple[AuditEntry, ...]
    has_newer: bool
    has_older: bool


def page(
    session: Session,
    project_id: str,
    wanted: EntryFilter,
    *,
    before: int = 0,
    after: int = 0,
    limit: int = 50,
) -> EntryPage:
    """A project's entries, newest first: the newest ones, or the nearest ones on either side of a
    sequence number.

    Args:
        session: where to read.
        project_id: whose entries.
        wanted: which of them.
        before: only entries older than this one; 0 for no bound.
        after: only entries newer than this one, the nearest to it; counts where `before` is 0.
        limit: how many at most.
    """
    limit = min(limit, MAX_LIMIT)
    query = _select(project_id, wanted)
    if after and not before:
        nearest = query.where(AuditRow.sequence > after).order_by(AuditRow.sequence)
        found = store.entries(session, nearest.limit(limit + 1))
        kept = tuple(found[:limit][::-1])
        has_older = bool(kept) and _has_any(session, query, kept[-1].sequence)
        return EntryPage(kept, len(found) > limit, has_older)
    if before:
        query = query.where(AuditRow.sequence < before)
    found = store.entries(session, query.order_by(AuditRow.sequence.desc()).limit(limit + 1))
    return EntryPage(tuple(found[:limit]), before > 0, len(found) > limit)


def get(session: Session, project_id: str, sequence: int) -> AuditEntry:
    """One entry of a project.

    Raises:
        EntryNotFound: the project has none of that number.
    """
    query = select(AuditRow).where(AuditRow.sequence == sequence, AuditRow.project_id == project_id)
    found = store.entries(session, query)
    if not found:
        raise EntryNotFound(
            f"The log of this project has no entry {sequence}.",
            next_step="List them: dizuo audit log.",
        )
    return found[0]


def actions(session: Session, project_id: str) -> list[str]:
    """Every action that a project's log knows, sorted."""
    return known_values(session, AuditRow.action, AuditRow.project_id == project_id)


def _has_any(session: Session, query: Select[AuditRow], before: int) -> bool:
    return session.scalar(query.where(AuditRow.sequence < before).limit(1)) is not None


def _select(project_id: str, wanted: EntryFilter) -> Select[AuditRow]:
    query = select(AuditRow).where(AuditRow.project_id == project_id)
    if wanted.actor:
        query = query.where(AuditRow.actor.in_(_meanings(wanted.actor, ACTOR_KINDS)))
    if wanted.actions:
        query = query.where(AuditRow.action.in_(wanted.actions))
    if wanted.subject:
        query = query.where(AuditRow.subject.in_(_meanings(wanted.subject, SUBJECT_KINDS)))
    return query


def _meanings(text: str, kinds: tuple[str, ...]) -> list[str]:
    """What somebody may mean: the text itself, or of any kind what bears that name."""
    if text.partition(":")[0] in kinds:
        return [text]
    return [text, *(f"{kind}:{text}" for kind in kinds)]
