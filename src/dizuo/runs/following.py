"""Reading what a run says, while it runs and afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import anyio
from anyio import to_thread

from dizuo.database.engine import Database
from dizuo.runs import service
from dizuo.runs.events import Position, RunEvent, read_events
from dizuo.runs.folder import RunFolder, run_folder
from dizuo.runs.model import Run

_BATCH = 500
_POLL_SECONDS = 0.2


async def follow(
    database: Database, home: Path, run_id: str, after: Position
) -> AsyncIterator[RunEvent | Run]:
    """Every event after a position, those to come as they come, and last the run, once it has
    ended. Files give no sign when they grow, so they are looked at five times a second."""
    folder = run_folder(home, run_id)
    while True:
        # The state first: whatever an ended run has said is in its files by then.
        run = await to_thread.run_sync(_read_run, database, run_id)
        while batch := await to_thread.run_sync(_read_batch, folder, after):
            for event in batch:
                yield event
            after = batch[-1].position
        if run.is_final:
            yield run
            return
        await anyio.sleep(_POLL_SECONDS)


def _read_run(database: Database, run_id: str) -> Run:
    with database.reading() as session:
        return service.get(session, run_id)


def _read_batch(folder: RunFolder, after: Position) -> list[RunEvent]:
    return list(islice(read_events(folder, after), _BATCH))


def read_log(folder: RunFolder, max_bytes: int) -> str:
    """What the attempts printed, oldest first, a heading before each; of more than `max_bytes` only
    the end."""
    parts: list[bytes] = []
    left = max_bytes
    for attempt in reversed(folder.attempts()):
        if left <= 0:
            break
        tail = _tail(attempt.log_path, left)
        left -= len(tail)
        parts.append(f"=== attempt {attempt.fence} ===\n".encode() + tail)
    return b"".join(reversed(parts)).decode(errors="replace")


def _tail(path: Path, max_bytes: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - max_bytes))
        return stream.read(max_bytes)
