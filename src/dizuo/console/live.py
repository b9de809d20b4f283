"""Figures that many people look at, read once for all of them.

A feed reads in a worker thread as long as somebody follows it, and tells its followers only what
has changed. Twenty people before the same page cost the hub one read, and twenty short messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from dizuo.core.clock import now_ms
from dizuo.core.errors import DizuoError, NotFound


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is followed cannot be read: when it last could, and whether it is gone."""

    as_of_ms: int
    is_gone: bool


LATE_SECONDS = 10.0
"""How long one reading may take before pages hear that what they show is old."""

Show = Callable[[Any], None]
Warn = Callable[[Trouble | None], None]
_logger = logging.getLogger(__name__)


class OpenPage(Protocol):
    """What of NiceGUI's Client is used here; entering it lets elements be changed."""

    id: str

    @property
    def is_deleted(self) -> bool:
        """Whether it was closed, and did not come back."""

    def on_delete(self, handler: Callable[[], None]) -> None:
        """Let a function be called when it is closed."""

    def __enter__(self) -> Any: ...

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _Follower:
    """A page, and what in it shows what is read, and that nothing can be."""

    client: OpenPage
    show: Show
    warn: Warn


@dataclass
class _Feed:
    """One thing that is read again and again, and the pages that show it."""

    read: Callable[[], Any]
    seconds: float
    followers: dict[str, _Follower] = field(default_factory=dict)
    last: Any = None
    read_ms: int = field(default_factory=now_ms)
    trouble: Trouble | None = None
    failed_as: type[Exception] | None = None
    task: asyncio.Task[None] | None = None


class Feeds:
    """All feeds of a console. Used from its event loop alone.

    Args:
        late_seconds: how long one reading may take before pages hear of it.
    """

    def __init__(self, *, late_seconds: float = LATE_SECONDS) -> None:
        self._late_seconds = late_seconds
        self._feeds: dict[Hashable, _Feed] = {}

    def follow(
        self,
        client: OpenPage,
        key: Hashable,
        read: Callable[[], Any],
        show: Show,
        *,
        warn: Warn = lambda _trouble: None,
        seconds: float = 2.0,
    ) -> None:
        """Let a page show what is read, whenever that has changed, until it is closed.

        Args:
            client: the page.
            key: what is read; feeds with equal keys are one, and read by the first one's function.
            read: called in a worker thread; its answers are compared by `==`.
            show: called in the page with each new answer, the first one included.
            warn: called in the page when it cannot be read, or not in time, and with None when it
                can be again.
            seconds: how long after one reading the next begins.
        """
        feed = self._feeds.setdefault(key, _Feed(read, seconds))
        feed.followers[client.id] = _Follower(client, show, warn)
        client.on_delete(lambda: self._leave(key, client.id))
        if feed.task is None:
            feed.task = asyncio.create_task(self._run(key, feed))
            return
        if feed.last is not None:
            _tell(client, show, feed.last)
        if feed.trouble is not None:
            _tell(client, warn, feed.trouble)

    @property
    def num_running(self) -> int:
        """How many feeds are read now."""
        return len(self._feeds)

    def _leave(self, key: Hashable, client_id: str) -> None:
        feed = self._feeds.get(key)
        if feed is None:
            return
        feed.followers.pop(client_id, None)
        if not feed.followers:
            del self._feeds[key]
            if feed.task is not None:
                feed.task.cancel()

    async def _run(self, key: Hashable, feed: _Feed) -> None:
        loop = asyncio.get_running_loop()
        while True:
            late = loop.call_later(self._late_seconds, _warn, feed)
            try:
                found = await run_in_threadpool(feed.read)
            except DizuoError as error:
                if _fail(feed, error):
                    _logger.warning("what pages follow as %s could not be read: %s", key, error)
            except Exception as error:  # the feed's edge: logged and told, and read again
                if _fail(feed, error):
                    _logger.exception("what pages follow as %s could not be read", key)
            else:
                _show(feed, found)
            finally:
                late.cancel()
            await asyncio.sleep(feed.seconds)


def _fail(feed: _Feed, error: Exception) -> bool:
    """Tell all followers that it could not be read; whether it did not fail so the last time."""
    is_news = feed.failed_as is not type(error)
    feed.failed_as = type(error)
    _warn(feed, is_gone=isinstance(error, NotFound))
    return is_news


def _warn(feed: _Feed, *, is_gone: bool = False) -> None:
    """Tell all followers that what they show is old, if they do not know that yet."""
    trouble = Trouble(feed.read_ms, is_gone)
    if trouble == feed.trouble:
        return
    feed.trouble = trouble
    for follower in list(feed.followers.values()):
        _tell(follower.client, follower.warn, trouble)


def _show(feed: _Feed, found: Any) -> None:
    """Tell all followers what was read, where it has changed, and that it could be read."""
    feed.read_ms = now_ms()
    was_in_trouble, has_changed = feed.trouble is not None, found != feed.last
    feed.trouble, feed.failed_as, feed.last = None, None, found
    for follower in list(feed.followers.values()):
        if was_in_trouble:
            _tell(follower.client, follower.warn, None)
        if has_changed:
            _tell(follower.client, follower.show, found)


def _tell(client: OpenPage, say: Callable[[Any], None], what: Any) -> None:
    """Say it in one page; where that fails, no other page suffers."""
    if client.is_deleted:
        return
    try:
        with client:
            say(what)
    except Exception:  # the page's edge: logged, and told again when there is something new
        _logger.exception("a page could not show what it follows")
