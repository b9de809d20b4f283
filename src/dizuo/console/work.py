"""Work that takes longer than a page may: done in threads of its own, looked at by pages.

What is done stays known for a while, so that whoever opens its address again sees how it stands.
What anybody may begin by looking at a page has threads of its own: it keeps no import waiting.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dizuo.core.errors import DizuoError, Unavailable
from dizuo.core.ids import new_id
from dizuo.core.progress import Progress

_NUM_AT_ONCE = 2
_NUM_LOOKS_AT_ONCE = 3
NUM_LOOKS_EACH = 2
"""How many looks of one person may be under way: others must find a free thread."""
_NUM_KEPT = 64
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a piece of work stands. It `is_waiting` until a thread is free for it; once it
    `has_ended` there is a result or an error, or neither where the hub failed over it."""

    progress: Progress | None = None
    is_waiting: bool = False
    has_ended: bool = False
    result: Any = None
    error: DizuoError | None = None


class Work:
    """One piece of work.

    Args:
        project_id: whose it is.
        key: what is done, so that nobody does the same twice at a time.
        looker: who began it by looking at a page; empty for imports.
    """

    def __init__(self, project_id: str, key: str, looker: str = "") -> None:
        self.id = new_id()
        self.project_id = project_id
        self.key = key
        self.looker = looker
        self.standing = Standing(is_waiting=True)
        self._num_watchers = 0
        self._unwanted = threading.Event()
        self._ended = threading.Event()

    def report(self, progress: Progress) -> None:
        """Say how far it is."""
        self.standing = Standing(progress)

    def wanted(self) -> bool:
        """Whether to go on."""
        return not self._unwanted.is_set()

    def stop(self) -> None:
        """It is no longer wanted."""
        self._unwanted.set()

    def enter(self) -> None:
        """Somebody more looks at it. Called from the console's event loop alone, as is `leave`."""
        self._num_watchers += 1

    def leave(self) -> None:
        """Somebody who entered looks no more; what nobody looks at any more is stopped."""
        self._num_watchers -= 1
        if not self._num_watchers and not self.standing.has_ended:
            self.stop()

    @property
    def is_good(self) -> bool:
        """Whether it may be looked at instead of being begun anew."""
        failed = self.standing.has_ended and self.standing.result is None
        return self.wanted() and not failed

    def run(self, do: Callable[[Work], Any]) -> None:
        """Do it, and keep what came of it."""
        self.standing = Standing()
        try:
            ended = Standing(has_ended=True, result=do(self))
        except DizuoError as error:
            ended = Standing(has_ended=True, error=error)
        except Exception:  # the thread's edge: logged, and told without its details
            _logger.exception("work for a page failed")
            ended = Standing(has_ended=True)
        self.standing = ended
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, but no longer than that."""
        self._ended.wait(seconds)


class Works:
    """All such work of a console. Used from its event loop alone; the work itself is in threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_NUM_AT_ONCE, thread_name_prefix="console-work")
        self._looks = ThreadPoolExecutor(_NUM_LOOKS_AT_ONCE, thread_name_prefix="console-look")
        self._known: dict[str, Work] = {}

    def start(self, project_id: str, key: str, do: Callable[[Work], Any]) -> Work:
        """Begin something, unless it is being done or was done a little while ago."""
        known = self._same(project_id, key)
        return known or self._begin(self._threads, Work(project_id, key), do)

    def look(self, project_id: str, key: str, do: Callable[[Work], Any], looker: str) -> Work:
        """`start` for what `looker` begins by looking at a page: a comparison or a preview.

        Raises:
            Unavailable: too many of theirs are under way.
        """
        known = self._same(project_id, key)
        if known is not None:
            return known
        own = [one for one in self._known.values() if one.looker == looker]
        if sum(not one.standing.has_ended for one in own) >= NUM_LOOKS_EACH:
            raise Unavailable(
                f"{NUM_LOOKS_EACH} comparisons or previews that you asked for are still under way.",
                next_step="Close their pages or wait until one is done, then load this page again.",
            )
        return self._begin(self._looks, Work(project_id, key, looker), do)

    def _same(self, project_id: str, key: str) -> Work | None:
        for known in self._known.values():
            if (known.project_id, known.key) == (project_id, key) and known.is_good:
                return known
        return None

    def _begin(self, threads: ThreadPoolExecutor, work: Work, do: Callable[[Work], Any]) -> Work:
        self._known[work.id] = work
        self._forget()
        threads.submit(work.run, do)
        return work

    def find(self, project_id: str, work_id: str) -> Work | None:
        """A piece of work of a project."""
        work = self._known.get(work_id)
        return work if work is not None and work.project_id == project_id else None

    def close(self) -> None:
        """Stop all work; what has not begun never does."""
        for threads in (self._threads, self._looks):
            threads.shutdown(wait=False, cancel_futures=True)
        for work in self._known.values():
            work.stop()

    def _forget(self) -> None:
        ended = [work for work in self._known.values() if work.standing.has_ended]
        for work in ended[: max(0, len(self._known) - _NUM_KEPT)]:
            del self._known[work.id]
