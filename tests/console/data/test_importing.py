"""The import page without a browser: who waits for whom, and what is said of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from inspect import unwrap
from pathlib import Path
from typing import Any, cast

import pytest
from nicegui import Client, ui
from nicegui.page import page
from tests.console.data.data_scene import ticket_lines
from tests.console.test_live import apart

from dizuo.access.model import Person, Principal, Role, Surface
from dizuo.console.data.import_wish import IMPORT, ShownWish
from dizuo.console.data.importing import data_import
from dizuo.console.frame import View
from dizuo.console.live import Feeds
from dizuo.console.messages import Language
from dizuo.console.parts import Parts
from dizuo.console.visit import Theme, Visit
from dizuo.console.work import NUM_LOOKS_EACH, Work, Works
from dizuo.core.errors import Unavailable
from dizuo.database.engine import Database
from dizuo.datasets import uploads

PATIENCE_SECONDS = 30


class Watched(Works):
    """Notes what is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[Work] = []

    def look(self, project_id: str, key: str, do: Callable[[Work], Any], looker: str) -> Work:
        self.looks.append(super().look(project_id, key, do, looker))
        return self.looks[-1]


@pytest.fixture
def works() -> Iterator[Watched]:
    opened = Watched()
    yield opened
    opened.close()


def until_stopped(work: Work) -> bool:
    while work.wanted():
        threading.Event().wait(0.001)
    return True


def import_two(works: Works) -> list[Work]:
    """As many imports as there are threads for, all of which have begun."""
    begun = threading.Barrier(3)

    def do(work: Work) -> bool:
        begun.wait(PATIENCE_SECONDS)
        return until_stopped(work)

    under_way = [works.start("default", f"add:{number}", do) for number in range(2)]
    begun.wait(PATIENCE_SECONDS)
    return under_way


@asynccontextmanager
async def opened(view: View, wish: ShownWish) -> AsyncIterator[str]:
    """The page, and what it says."""
    try:
        with view.client:
            await unwrap(data_import)(view, wish)
            drawn = view.client.elements.values()
            yield "".join(one.content for one in drawn if isinstance(one, ui.html))
    finally:
        view.client.delete()


def view_of(
    home: Path, database: Database, works: Works, language: Language = Language.ENGLISH
) -> View:
    """Somebody's page, about to be drawn."""
    nothing = cast(Any, None)
    principal = Principal("1", "bo", Surface.CONSOLE, "default", Role.BUILDER)
    person = Person("session", principal, language.value, "light", 0)
    parts = Parts(home, "", 1.0, 0.0, database, nothing, nothing, nothing, nothing)
    visit, client = Visit(person, language, Theme.LIGHT), Client(page(IMPORT), request=None)
    return View(visit, person, parts, Feeds(), works, client, "", nothing)


async def send(home: Path, data: bytes) -> ShownWish:
    """A wish to import an upload of these bytes."""

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    kept = await uploads.receive(chunks(), home)
    return ShownWish(upload=kept.digest, file="tickets.jsonl")


@apart
async def test_a_preview_waits_for_no_import(
    tmp_path: Path, database: Database, works: Watched
) -> None:
    import_two(works)
    wish = await send(tmp_path, ticket_lines(3))
    async with opened(view_of(tmp_path, database, works), wish):
        [work] = works.looks
        await asyncio.to_thread(work.wait, PATIENCE_SECONDS)
        assert work.standing.result.told.num_added == 3


@apart
async def test_nobody_has_too_many_previews(
    tmp_path: Path, database: Database, works: Watched
) -> None:
    wish, view = await send(tmp_path, ticket_lines(3)), view_of(tmp_path, database, works)
    for number in range(NUM_LOOKS_EACH):
        works.look("default", str(number), until_stopped, view.person.account_id)
    with pytest.raises(Unavailable, match="previews that you asked for are still under way"):
        async with opened(view, wish):
            pass


@apart
async def test_an_import_without_a_thread_says_that_it_waits_for_another(
    tmp_path: Path, database: Database, works: Watched
) -> None:
    under_way = import_two(works)
    waiting = works.start("default", "add:later", until_stopped)
    said = {
        Language.ENGLISH: "Waiting for another import to be done.",
        Language.CHINESE: "正在等待其他导入完成。",
    }
    for language, sentence in said.items():
        view = view_of(tmp_path, database, works, language)
        async with opened(view, ShownWish(name="later", work=waiting.id)) as told:
            assert sentence in told
        view = view_of(tmp_path, database, works, language)
        async with opened(view, ShownWish(name="one", work=under_way[0].id)) as told:
            assert view.words("data.under_way") in told
            assert sentence not in told
