"""Every page before two projects of one hub: each finds its own there, and nothing of the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from tests.console import projects_scene
from tests.console.approvals.decisions_scene import BOSS, NAME, SITES
from tests.console.conftest import PASSWORD, PEOPLE, Place
from tests.console.data.data_scene import picture_zip
from tests.console.data.test_data import signed_in
from tests.console.projects_scene import OTHER, OURS, Things
from tests.console.test_roles import cookie_of
from tests.console.test_walk import registered_pages

from dizuo.console.data import import_work
from dizuo.console.data import pictures as data_pictures
from dizuo.console.data.import_wish import IMPORT
from dizuo.console.review import pictures as sample_pictures
from dizuo.console.stacks import pictures as stack_pictures

PICTURES = f"{IMPORT}/picture"
OUR_NAMES = (OURS, NAME, *SITES, *(f"person:{name}" for name in PEOPLE))
PLACES = [(name, "default") for name in PEOPLE] + [(BOSS, OTHER)]


@dataclass(frozen=True, slots=True)
class Somebody:
    """Who has signed in; what their own project has, and the other one, with its names."""

    place: Place
    cookie: str
    is_admin: bool
    own: Things
    foreign: Things
    names: tuple[str, ...]

    def get(self, address: str) -> httpx2.Response:
        """A page, sent as a whole: NiceGUI's elements are in it too."""
        return httpx2.get(self.place.url + address, headers={"Cookie": self.cookie}, timeout=60)


@pytest.fixture(scope="module")
def things(place: Place) -> tuple[Things, Things]:
    return projects_scene.fill(place)


@pytest.fixture(params=PLACES, ids=lambda one: one[0])
def somebody(
    request: pytest.FixtureRequest, place: Place, things: tuple[Things, Things]
) -> Somebody:
    """Each role in the one project, and the other project's boss."""
    name, project = request.param
    cookie = cookie_of(place, name, PASSWORD)
    is_admin = name == BOSS or PEOPLE[name] == "admin"
    ours, others = things
    if project == OTHER:
        return Somebody(place, cookie, is_admin, others, ours, OUR_NAMES)
    return Somebody(place, cookie, is_admin, ours, others, (OTHER,))


def pages(things: Things) -> Iterator[str]:
    """Every page that the console declares."""
    for path in registered_pages():
        address = things.pages.get(path, path)
        assert "{" not in address, f"say where {path} leads to"
        yield address
    yield from things.asked


def test_every_page_holds_ones_own_and_no_name_of_another_project(somebody: Somebody) -> None:
    seen = ""
    for address in (*pages(somebody.own), *somebody.own.pictures.values()):
        answer = somebody.get(address)
        assert answer.status_code in ((200,) if somebody.is_admin else (200, 403)), address
        text = answer.content.decode(errors="replace")
        assert told_of(somebody, text) == [], address
        seen += text
    assert somebody.own.stack in seen


def test_what_another_project_has_is_refused_and_not_told(somebody: Somebody) -> None:
    foreign = somebody.foreign
    refused = (404, 403) if not somebody.is_admin else (404,)
    for path, address in {**foreign.pages, **foreign.pictures}.items():
        answer = somebody.get(address)
        assert answer.status_code in refused, path
        assert told_of(somebody, answer.text, address) == [], path
    for address in foreign.asked:
        assert told_of(somebody, somebody.get(address).text, address) == [], address


def told_of(somebody: Somebody, text: str, address: str = "") -> list[str]:
    """What a page tells of the other project beyond what its address says, which it may repeat."""
    for typed in (one for one in somebody.foreign.names if one in address):
        text = text.replace(typed, "")
    return [one for one in (*somebody.names, *somebody.foreign.names) if one in text]


def test_pictures_of_every_kind_are_asked_for(things: tuple[Things, Things]) -> None:
    """A new kind has to be added to what is asked for above."""
    routers = (data_pictures.router, stack_pictures.router, sample_pictures.router)
    assert set().union(*map(paths_of, routers)) == set(things[0].pictures)
    assert PICTURES in paths_of(import_work.router)


def paths_of(router: APIRouter) -> set[str]:
    return {route.path for route in router.routes if isinstance(route, APIRoute)}


def test_a_picture_of_a_preview_is_its_projects_own(
    place: Place, things: tuple[Things, Things]
) -> None:
    theirs, ours = (signed_in(place, who) for who in (BOSS, "mei"))
    sent = httpx2.put(f"{place.url}{IMPORT}/upload", content=picture_zip(3), headers=theirs)
    preview = f"{place.url}{IMPORT}?name=fresh&upload={sent.json()['digest']}"
    for _ in range(100):  # each waits a little for the preview
        shown = httpx2.get(preview, headers=theirs, timeout=60)
        found = re.search(r"picture\?work=([0-9a-f-]+)", shown.text)
        if found is not None:
            break
    assert found is not None
    picture = f"{place.url}{PICTURES}?work={found[1]}&index=0"
    assert httpx2.get(picture, headers=theirs).status_code == 200
    assert httpx2.get(picture, headers=ours).status_code == 404
