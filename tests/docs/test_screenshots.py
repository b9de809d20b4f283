"""Every page of the console has its picture."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

from docs.screenshots import EMPTY, OUT, SIGNED_OUT, Shot, Subjects, signed_in_shots
from tests.console.test_walk import registered_pages

SUBJECTS = Subjects(
    stack="meter/2",
    stack_name="meter",
    city_stack="city/1",
    pictures="digits/2",
    calls="calls/1",
    run="run-2",
    other_run="run-1",
    release="release-1",
    rollout="rollout-1",
    improvement="improvement-1",
    entry="7",
)


def all_shots() -> list[Shot]:
    return [*SIGNED_OUT, *EMPTY, *signed_in_shots(SUBJECTS)]


def declared(address: str, pages: list[str]) -> str:
    """The declared page behind an address: of those with as many parts the most literal one."""
    parts = urlsplit(address).path.split("/")
    fitting = {
        page: sum(part == asked for part, asked in zip(page.split("/"), parts, strict=True))
        for page in pages
        if page.count("/") + 1 == len(parts)
        and all(
            part == asked or part.startswith("{")
            for part, asked in zip(page.split("/"), parts, strict=True)
        )
    }
    return max(fitting, key=fitting.__getitem__, default="")


def test_no_declared_page_is_without_a_shot() -> None:
    pages = [*registered_pages(), "/login"]
    taken = [declared(shot.address, pages) for shot in all_shots()]
    assert sorted(set(pages) - set(taken)) == []
    assert "" not in taken


def test_each_shot_has_a_name_of_its_own() -> None:
    names = Counter(shot.name for shot in all_shots())
    assert [name for name, number in names.items() if number > 1] == []


def test_the_pictures_that_are_kept_are_those_that_are_taken() -> None:
    assert {path.stem for path in OUT.glob("*.png")} == {shot.name for shot in all_shots()}


def test_an_address_is_that_of_its_most_literal_page() -> None:
    pages = ["/releases/{release_id}", "/releases/rollouts", "/releases/rollouts/{rollout_id}"]
    assert declared("/releases/rollouts?page=2", pages) == "/releases/rollouts"
    assert declared("/releases/abc", pages) == "/releases/{release_id}"
    assert declared("/sites", pages) == ""
