"""Giving back the room that nobody needs any more: one pass over the hub's home.

Whatever a registered stack version or a tag leads to stays. So does whatever an unfinished run has
put into the registry: that came in, or was claimed again, after the run was begun, and nothing
younger than the oldest such run is removed, nor anything younger than a day.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dizuo.access import sessions, throttle
from dizuo.artifacts.garbage import DEFAULT_GRACE_SECONDS, Collected, collect_garbage
from dizuo.audit import service as audit
from dizuo.core.clock import Clock, now_ms
from dizuo.core.errors import DizuoError
from dizuo.datasets import rehearsing, uploads
from dizuo.runs import leftovers
from dizuo.runs import service as runs
from dizuo.runs.kinds import RunContext
from dizuo.runs.model import Run
from dizuo.stacks import service as stacks

MAINTENANCE = "hub:maintenance"
"""How the audit log names these passes."""
EVERY_SECONDS = 24 * 3600.0
_SLACK_SECONDS = 3600.0
"""How far file times and the database's may lie apart, as after a clock was set."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Freed:
    """What a pass removed: files of the registry, uploads and what was
    unpacked to look at them, the work of ended runs (their ids),
    people's sessions that are over, and counters of tries at signing in that no longer count."""

    num_blobs: int
    num_blob_bytes: int
    num_uploads: int
    runs: tuple[str, ...]
    num_sessions: int = 0
    num_sign_in_tries: int = 0

    def __bool__(self) -> bool:
        files = self.num_blobs or self.num_uploads or self.runs
        return bool(files or self.num_sessions or self.num_sign_in_tries)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as the audit log keeps it."""
        return {**asdict(self), "runs": list(self.runs)}


def maintain(context: RunContext, *, clock: Clock = now_ms) -> Freed:
    """One pass, with an audit entry if anything was freed. Only the leader of a home runs it."""
    now = clock()
    with context.database.reading() as session:
        # Runs first: a stack that is registered in between is then still some run's.
        unfinished = runs.unfinished(session)
        registered = stacks.digests(session)
    with context.database.reading() as session:
        ended = leftovers.discard_ended(session, context.home)
    num_uploads = uploads.sweep(context.home, now, wanted=_uploads_of(unfinished))
    num_uploads += rehearsing.sweep(context.home, now)
    blobs = _collect(context, registered, _grace_seconds(unfinished, now), now)
    with context.database.transaction() as session:
        rows = sessions.sweep(session, now), throttle.sweep(session, now)
        freed = Freed(blobs.num_files, blobs.num_bytes, num_uploads, tuple(ended), *rows)
        if freed:
            audit.record(session, MAINTENANCE, "hub.freed", "hub", freed.as_dict())
    _logger.info(
        "maintenance freed %d files (%d bytes) of the registry, %d uploads, the work of %d runs, "
        "%d sessions",
        *(freed.num_blobs, freed.num_blob_bytes, freed.num_uploads, len(freed.runs)),
        freed.num_sessions,
    )
    return freed


def _uploads_of(unfinished: Sequence[Run]) -> set[str]:
    """What runs read that have not ended (imports name it by this key)."""
    return {str(run.spec["upload"]) for run in unfinished if "upload" in run.spec}


def _grace_seconds(unfinished: Sequence[Run], now: int) -> float:
    begun = leftovers.started_ms(unfinished)
    if begun is None:
        return DEFAULT_GRACE_SECONDS
    return max(DEFAULT_GRACE_SECONDS, (now - begun) / 1000 + _SLACK_SECONDS)


def _collect(context: RunContext, keep: Sequence[str], grace_seconds: float, now: int) -> Collected:
    """What the collector removed; nothing where it cannot tell what is wanted."""
    try:
        return collect_garbage(
            context.layout, grace_seconds=grace_seconds, keep=keep, whole=True, clock=lambda: now
        )
    except DizuoError as error:
        _logger.warning("nothing of the registry was removed: %s", error)
        return Collected(0, 0)
