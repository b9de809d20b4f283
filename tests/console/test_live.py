"""Feeds: one reading for all who look, told only where it has changed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import pytest

from dizuo.console.live import Feeds, Trouble
from dizuo.core.errors import NotFound, Unavailable

SOON = 0.01


def apart(scene: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Play a scene in a thread of its own: where a browser is driven, a loop runs in this one."""

    @wraps(scene)
    def played(**fixtures: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, scene(**fixtures)).result()

    return played


@dataclass
class Page:
    """A page that notes what it was told, and whether it was entered meanwhile."""

    id: str
    is_deleted: bool = False
    told: list[Any] = field(default_factory=list)
    endings: list[Callable[[], None]] = field(default_factory=list)
    warned: list[Trouble | None] = field(default_factory=list)
    entered: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_delete(self, handler: Callable[[], None]) -> None:
        self.endings.append(handler)

    def __enter__(self) -> Page:
        self.entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.entered -= 1

    def show(self, found: Any) -> None:
        assert self.entered == 1
        self.told.append(found)
        self.news.set()

    def warn(self, trouble: Trouble | None) -> None:
        assert self.entered == 1
        self.warned.append(trouble)
        self.news.set()

    async def next(self) -> Any:
        async with asyncio.timeout(10):
            await self.news.wait()
        self.news.clear()
        return self.told[-1] if self.told else None

    async def next_warning(self, *, is_there: bool) -> None:
        """Return once the last warning is one, or takes one back."""
        while not self.warned or (self.warned[-1] is not None) is not is_there:
            await self.next()

    def close(self) -> None:
        self.is_deleted = True
        for end in self.endings:
            end()


@dataclass
class Source:
    """What is read; it notes in which threads. It takes as long as it is not `free`."""

    value: Any = 1
    readings: int = 0
    threads: set[int] = field(default_factory=set)
    error: Exception | None = None
    free: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.free.set()

    def read(self) -> Any:
        self.readings += 1
        self.threads.add(threading.get_ident())
        assert self.free.wait(10)
        if self.error is not None:
            raise self.error
        return self.value


async def rounds(source: Source, number: int) -> None:
    """Return after so many more readings."""
    wanted = source.readings + number
    async with asyncio.timeout(10):
        while source.readings < wanted:
            await asyncio.sleep(SOON)


@apart
async def test_all_pages_share_one_reading_and_hear_of_changes_alone() -> None:
    feeds, source = Feeds(), Source()
    one, other = Page("one"), Page("other")
    feeds.follow(one, "key", source.read, one.show, seconds=SOON)
    assert await one.next() == 1
    feeds.follow(other, "key", Source(99).read, other.show, seconds=SOON)
    assert other.told == [1]  # at once, from what was read last
    await rounds(source, 3)
    assert (one.told, other.told) == ([1], [1])
    source.value = 2
    assert await one.next() == 2
    assert other.told == [1, 2]
    assert threading.get_ident() not in source.threads
    one.close()
    other.close()


@apart
async def test_nothing_is_read_once_the_last_page_is_closed() -> None:
    feeds, source = Feeds(), Source()
    one, other = Page("one"), Page("other")
    for page in (one, other):
        feeds.follow(page, "key", source.read, page.show, seconds=SOON)
    await one.next()
    one.close()
    assert feeds.num_running == 1
    other.close()
    assert feeds.num_running == 0
    await asyncio.sleep(SOON)  # one that had begun may end
    read = source.readings
    await asyncio.sleep(10 * SOON)
    assert source.readings == read


@apart
async def test_a_page_that_is_gone_is_told_nothing() -> None:
    feeds, source = Feeds(), Source()
    gone, there = Page("gone"), Page("there")
    for page in (gone, there):
        feeds.follow(page, "key", source.read, page.show, seconds=SOON)
    await there.next()
    gone.is_deleted = True
    source.value = 2
    await there.next()
    assert gone.told == [1]
    there.close()
    gone.close()


@apart
async def test_a_reading_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    feeds, source, page = Feeds(), Source(error=Unavailable("The database is away.")), Page("one")
    feeds.follow(page, "key", source.read, page.show, seconds=SOON)
    await rounds(source, 2)
    assert page.told == []
    assert "The database is away." in caplog.text
    source.error = None
    assert await page.next() == 1
    page.close()


@apart
async def test_pages_hear_that_what_they_show_is_old_and_that_it_is_fresh_again() -> None:
    feeds, source = Feeds(), Source()
    page, late = Page("one"), Page("late")
    feeds.follow(page, "key", source.read, page.show, warn=page.warn, seconds=SOON)
    await page.next()
    source.error = Unavailable("The database is away.")
    await page.next()
    feeds.follow(late, "key", source.read, late.show, warn=late.warn, seconds=SOON)
    assert late.warned == page.warned
    [trouble] = page.warned
    assert trouble is not None
    assert not trouble.is_gone
    await rounds(source, 2)
    assert page.warned == [trouble]
    source.error = None
    await page.next()
    assert (page.told, page.warned) == ([1], [trouble, None])
    assert (late.told, late.warned) == ([1], [trouble, None])
    page.close()
    late.close()


@apart
async def test_pages_hear_of_a_reading_that_takes_too_long_until_it_is_done() -> None:
    feeds, source, page = Feeds(late_seconds=SOON), Source(), Page("one")
    feeds.follow(page, "key", source.read, page.show, warn=page.warn, seconds=SOON)
    while await page.next() is None:
        pass  # the first reading was late, too
    source.free.clear()
    await page.next_warning(is_there=True)
    assert page.told == [1]
    source.free.set()
    await page.next_warning(is_there=False)
    assert page.told == [1]
    page.close()


@apart
async def test_a_reading_that_fails_late_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    feeds, source, page = Feeds(late_seconds=SOON), Source(), Page("one")
    source.free.clear()
    feeds.follow(page, "key", source.read, page.show, warn=page.warn, seconds=SOON)
    await page.next_warning(is_there=True)
    source.error = Unavailable("The database is away.")
    source.free.set()
    await rounds(source, 3)
    assert caplog.text.count("The database is away.") == 1
    page.close()


@apart
async def test_pages_hear_that_what_they_show_is_gone() -> None:
    feeds, source, page = Feeds(), Source(error=NotFound("No such site.")), Page("one")
    feeds.follow(page, "key", source.read, page.show, warn=page.warn, seconds=SOON)
    await page.next()
    [trouble] = page.warned
    assert trouble is not None
    assert trouble.is_gone
    page.close()


@apart
async def test_a_fault_of_ours_in_a_reading_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    feeds, source, page = Feeds(), Source(error=KeyError("no such thing")), Page("one")
    feeds.follow(page, "key", source.read, page.show, seconds=SOON)
    await rounds(source, 2)
    assert "no such thing" in caplog.text
    source.error = None
    assert await page.next() == 1
    page.close()


@apart
async def test_a_page_that_cannot_show_it_keeps_it_from_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_found: object) -> None:
        raise KeyError("no such text")

    feeds, source = Feeds(), Source()
    broken, whole, late = Page("broken"), Page("whole"), Page("late")
    feeds.follow(broken, "key", source.read, fail, seconds=SOON)
    feeds.follow(whole, "key", source.read, whole.show, seconds=SOON)
    assert await whole.next() == 1
    source.value = 2
    assert await whole.next() == 2
    feeds.follow(late, "key", source.read, late.show, seconds=SOON)
    assert late.told == [2]
    assert "no such text" in caplog.text
    for page in (broken, whole, late):
        page.close()


@apart
async def test_what_different_pages_follow_is_read_apart() -> None:
    feeds, one, other = Feeds(), Page("one"), Page("other")
    feeds.follow(one, ("a", "key"), Source("a").read, one.show, seconds=SOON)
    feeds.follow(other, ("b", "key"), Source("b").read, other.show, seconds=SOON)
    assert (await one.next(), await other.next()) == ("a", "b")
    one.close()
    other.close()
