"""Writing to the chain and proving it whole."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from dizuo.audit import store
from dizuo.audit.model import GENESIS, AuditEntry, AuditVerdict
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json
from dizuo.core.progress import Progress, Reporter, silent
from dizuo.database.tables import DEFAULT_PROJECT

_CHAIN_LOCK = 0x64697A756F  # an arbitrary fixed key ("dizuo") for PostgreSQL's advisory lock
_ENTRIES_PER_REPORT = 500


def record(
    session: Session,
    actor: str,
    action: str,
    subject: str,
    detail: dict[str, Any] | None = None,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> AuditEntry:
    """Append an entry in the caller's transaction: both commit, or neither does.

    Writers queue up on the chain's head: by `BEGIN IMMEDIATE` on SQLite, by an advisory lock held
    to the end of the transaction on PostgreSQL. `detail` is digested in the form in which it comes
    back from the database (text keys, lists), so that what holds now still holds when it is read.

    Raises:
        ValueError: `detail` holds a NaN, an infinity or text that is not Unicode.
        TypeError: `detail` is not JSON.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHAIN_LOCK})
    head = store.last(session)
    entry = AuditEntry(
        sequence=head.sequence + 1 if head else 1,
        project_id=project_id,
        at_ms=now_ms(),
        actor=actor,
        action=action,
        subject=subject,
        detail=json.loads(canonical_json(detail or {})),
        previous=head.digest if head else GENESIS,
        digest="",
    )
    entry = replace(entry, digest=entry.expected_digest())
    store.add(session, entry)
    return entry


def verify(session: Session, *, expected: str = "", report: Reporter = silent) -> AuditVerdict:
    """Walk the chain from its first entry and recompute every digest.

    A chain alone cannot show that its newest entries were cut off, or that all of it was written
    anew. Whoever noted the head of an earlier verdict can: `expected` must still be in the chain.
    `report` hears how many entries hold so far, of how many.
    """
    newest = store.last(session)
    total = newest.sequence if newest else 0
    previous, count = GENESIS, 0
    seen = expected in ("", GENESIS)
    with closing(store.stream(session)) as entries:
        for entry in entries:
            reason = _fault(entry, previous, count + 1)
            if reason:
                return AuditVerdict(count, previous, broken_at=entry.sequence, reason=reason)
            previous, count = entry.digest, count + 1
            seen = seen or entry.digest == expected
            if count % _ENTRIES_PER_REPORT == 0:
                report(Progress("verify", count, total, "entry"))
    if not seen:
        reason = "the entry that was the head is gone: the end was cut off, or all was rewritten"
        return AuditVerdict(count, previous, broken_at=count + 1, reason=reason)
    return AuditVerdict(count, previous)


def _fault(entry: AuditEntry, previous: str, expected_sequence: int) -> str:
    if entry.sequence != expected_sequence:
        return f"entry {expected_sequence} is missing"
    if entry.previous != previous:
        return f"entry {entry.sequence} does not follow the one before it"
    if entry.digest != entry.expected_digest():
        return f"entry {entry.sequence} was changed after it was written"
    return ""
