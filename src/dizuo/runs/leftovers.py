"""What runs leave in a home when nobody was there to clear up after them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.orm import Session

from dizuo.runs import store
from dizuo.runs.folder import RunFolder
from dizuo.runs.importing import INSPECTION_PREFIX
from dizuo.runs.model import Run


def clear_inspections(home: Path) -> int:
    """Remove the folders in which a hub that was killed looked into a model; how many there were.

    Only before this home's hub lets the first run in: its own look the same.
    """
    left = list((home / "runs").glob(f"{INSPECTION_PREFIX}*"))
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def discard_ended(session: Session, home: Path) -> list[str]:
    """Remove checkpoints and scratch folders of runs that have ended; the ids of those runs.

    A run that something still works on is left alone, as is a folder of which the database does
    not know.
    """
    folders = [RunFolder(path) for path in (home / "runs").iterdir() if path.is_dir()]
    ended = [folder for folder in folders if folder.work() and _has_ended(session, folder)]
    for folder in ended:
        folder.discard_work()
    return [folder.path.name for folder in ended]


def _has_ended(session: Session, folder: RunFolder) -> bool:
    run = store.find(session, folder.path.name)
    return run is not None and run.is_final and not folder.is_locked()


def started_ms(unfinished: Iterable[Run]) -> int | None:
    """When the first of these runs was begun; None if none was.

    Whatever a run has put into the registry came in, or was claimed, after it was begun.
    """
    return min((run.started_ms for run in unfinished if run.started_ms is not None), default=None)
