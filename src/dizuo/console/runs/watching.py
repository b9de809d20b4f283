"""Looking at a run again and again while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.console.frame import View
from dizuo.runs import following, service
from dizuo.runs.curves import Listener, Story
from dizuo.runs.folder import run_folder
from dizuo.runs.model import Run

LOG_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, what it has said, and the end of its log."""

    run: Run
    story: Story
    log: str


def watching(view: View, run_id: str, *, log_bytes: int = LOG_BYTES) -> Callable[[Session], Seen]:
    """What reads a run again and again; each time only what is new of its events."""
    folder = run_folder(view.parts.home, run_id)
    listener = Listener(folder)

    def look(session: Session) -> Seen:
        # The state first: whatever an ended run has said is in its files by then.
        run = service.get(session, run_id, project_id=view.project_id)
        log = following.read_log(folder, log_bytes) if log_bytes else ""
        return Seen(run, listener.listen(), log)

    return look
