"""What a hub does again and again beside its work, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dizuo.core.errors import DizuoError

_LOOK_SECONDS = 0.5
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Done at the start and every `every_seconds` from then on.

    `name` is its thread's; `complaint` is what the log says when it fails, before the reason. With
    `turn` it is left alone while that is not set: another process does it meanwhile.
    """

    name: str
    complaint: str
    every_seconds: float
    work: Callable[[], object]
    turn: threading.Event | None = None


@contextmanager
def doing(chore: Chore) -> Iterator[None]:
    """Do a chore for as long as the block runs; one under way is let finish."""
    stop = threading.Event()
    thread = threading.Thread(target=_repeat, args=(chore, stop), name=chore.name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _repeat(chore: Chore, stop: threading.Event) -> None:
    while not stop.is_set():
        if chore.turn is None or chore.turn.wait(_LOOK_SECONDS):
            _try(chore)
            stop.wait(chore.every_seconds)


def _try(chore: Chore) -> None:
    try:
        chore.work()
    except DizuoError as error:
        _logger.warning("%s: %s", chore.complaint, error)
    except Exception:  # the thread's edge: logged, and tried again
        _logger.exception("%s", chore.complaint)
