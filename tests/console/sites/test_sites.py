"""Sites in a real browser: found, looked at, let join, removed, by those who may."""

from __future__ import annotations

import pytest
from benchmarks.rig.browser import Chromium
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place
from tests.console.sites.site_scene import (
    BROKEN,
    BUSY,
    DOUBLE,
    FOREIGN,
    SILENT,
    SITES_NAMED,
    Scene,
    fill,
)

from dizuo.edge import join
from dizuo.sites import service


@pytest.fixture(scope="module")
def scene(place: Place) -> Scene:
    """A filled hub."""
    return fill(place)


def _names(visitor: Visitor) -> list[str]:
    return visitor.page.locator("tbody th a").all_inner_texts()


@pytest.mark.parametrize(
    "address",
    ["/sites", f"/sites/{BUSY}", f"/sites/{BROKEN}", f"/sites/{DOUBLE}", "/join"],
)
def test_pages_fit_every_width_and_everybody(scene: Scene, visitor: Visitor, address: str) -> None:
    visitor.open(address)
    assert visitor.overflow() == []
    assert visitor.unfit() == []


def test_sites_are_searched_filtered_and_paged_by_address(scene: Scene, visitor: Visitor) -> None:
    visitor.open("/sites", "Sites")
    assert _names(visitor) == SITES_NAMED[:50]
    visitor.page.get_by_role("link", name="Next").click()
    visitor.page.wait_for_url("**/sites?page=2")
    visitor.settle()
    assert _names(visitor) == SITES_NAMED[50:]
    visitor.page.get_by_label("Name of a site").fill("mine-0")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/sites?q=mine-0*")
    visitor.settle()
    assert _names(visitor) == SITES_NAMED[:9]
    visitor.page.get_by_role("link", name="fell back").click()
    visitor.settle()
    assert _names(visitor) == [BROKEN]
    assert "While probing: It misread." in visitor.page.locator("tbody").inner_text()
    visitor.open("/sites?state=offline")
    assert SILENT in _names(visitor)  # and others, if the test itself takes long
    seen = visitor.page.locator("tbody td:nth-child(3)").all_inner_texts()
    assert "offline, 3 hours ago" in seen
    assert all(one.startswith("offline") for one in seen)
    visitor.open("/sites?q=nowhere")
    assert "Nothing fits." in visitor.page.locator("main").inner_text()


def test_the_list_shows_what_a_site_says_as_soon_as_it_says_it(
    scene: Scene, visitor: Visitor
) -> None:
    visitor.open("/sites?q=mine-40")
    running = scene.fleet.site("mine-40").running
    scene.fleet.say("mine-40", "updating", running)
    visitor.page.locator("tbody", has_text="updating").wait_for()
    scene.fleet.say("mine-40", "serving", running)
    visitor.page.locator("tbody", has_text="serving").wait_for()


def test_a_site_shows_what_it_runs_and_what_it_has_let_out(scene: Scene, visitor: Visitor) -> None:
    visitor.open(f"/sites/{BUSY}", BUSY)
    text = visitor.page.locator("main").inner_text()
    for part in (
        "meter-reading:1",
        "meter-reading:2",
        "generation 2",
        "412 MB",
        "raw: samples leave as they are",
        "220",
        "http://127.0.0.1:8500",
        "site.directed",
        "operator:ann",
    ):
        assert part in text
    pictures = visitor.page.locator(".hourly svg")
    assert pictures.count() == 4
    named = [one.get_attribute("aria-label") or "" for one in pictures.all()]
    assert named[1].startswith("Samples returned per hour: 2")
    assert "unsure" in named[3]
    folds = visitor.page.locator("section.panel details")
    assert folds.count() == 4
    folds.nth(3).locator("summary").click()
    rows = folds.nth(3).locator("tbody tr")
    rows.first.wait_for()
    assert rows.count() == 48
    assert visitor.overflow() == []
    assert visitor.unfit() == []
    visitor.page.get_by_role("link", name="a rollout").first.click()
    visitor.page.locator("h1", has_text="Rollout of meter-reading:2").wait_for()


def test_a_stack_under_another_name_is_told_with_it(scene: Scene, visitor: Visitor) -> None:
    visitor.open(f"/sites/{DOUBLE}")
    assert "meter-reading:2 as night" in visitor.page.locator(".facts").first.inner_text()


def test_a_site_of_another_project_is_none_here(scene: Scene, visitor: Visitor) -> None:
    visitor.open("/sites?q=secret")
    assert "Nothing fits." in visitor.page.locator("main").inner_text()
    answer = visitor.page.goto(f"{visitor.url}/sites/{FOREIGN}")
    assert answer is not None
    assert answer.status == 404
    assert "vision" not in visitor.page.locator("main").inner_text()
    visitor.faults.clear()  # the browser itself notes the 404


def test_a_token_is_made_shown_once_and_lets_the_site_in(
    scene: Scene, visitor: Visitor, place: Place
) -> None:
    visitor.open("/sites")
    visitor.page.get_by_role("link", name="Let a site join").click()
    visitor.settle()
    name, hours = visitor.page.get_by_label("Name of the new site"), "Good for how many hours"
    name.fill("Not A Name")
    visitor.page.get_by_label(hours).fill("never")
    visitor.page.get_by_role("button", name="Make the token").click()
    visitor.page.get_by_text("Give a number of hours").wait_for()
    assert visitor.page.get_by_text("Begin and end with a lower-case letter").is_visible()
    assert name.input_value() == "Not A Name"
    assert visitor.unfit() == []
    name.fill(BUSY)
    visitor.page.get_by_label(hours).fill("2")
    visitor.page.keyboard.press("Enter")
    visitor.page.get_by_text("There is a site of that name already.").wait_for()
    name.fill("quarry")
    visitor.page.keyboard.press("Enter")
    command = visitor.page.locator("#command").inner_text()
    assert command.startswith("dizuo agent join ")
    assert command.endswith(" --name quarry")
    token = command.split()[3]
    assert join.decode(token).url == place.url
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.page.get_by_role("button", name="Copy").click()
    visitor.page.get_by_text("Copied.").wait_for()
    assert visitor.page.evaluate("navigator.clipboard.readText()") == command
    scene.fleet.enrol(token, "quarry")
    visitor.open("/sites/quarry", "quarry")


def test_removing_a_site_asks_first_and_says_what_it_means(scene: Scene, visitor: Visitor) -> None:
    scene.fleet.join("closing")
    visitor.open("/sites/closing", "closing")
    visitor.page.get_by_role("button", name="Remove this site").click()
    dialog = visitor.page.get_by_role("dialog")
    dialog.get_by_text("Its credentials stop working at once").wait_for()
    assert visitor.unfit() == []
    visitor.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert scene.fleet.site("closing").name == "closing"
    visitor.page.get_by_role("button", name="Remove this site").click()
    dialog.get_by_role("button", name="Remove this site").click()
    visitor.page.wait_for_url("**/sites")
    visitor.open("/sites?q=closing")
    assert _names(visitor) == []


def test_a_site_that_somebody_else_removed_is_told_on_its_open_page(
    scene: Scene, visitor: Visitor
) -> None:
    scene.fleet.join("leaving")
    visitor.open("/sites/leaving", "leaving")
    assert visitor.page.locator(".stale").inner_text() == ""
    with scene.fleet.database.transaction() as session:
        service.remove(session, "leaving", "operator:ann")
    visitor.page.locator(".stale", has_text="no longer there").wait_for()
    assert "as of 20" in visitor.page.locator(".stale").inner_text()
    assert visitor.overflow() == []
    assert visitor.unfit() == []


def test_how_long_something_is_past_stays_true_on_an_open_page(
    scene: Scene, visitor: Visitor
) -> None:
    visitor.open(f"/sites/{BUSY}", BUSY)
    earlier = "(time) => { time.dateTime = new Date(Date.now() - 3 * 3600e3 - 1e3).toISOString() }"
    visitor.page.locator("time[data-ago]").last.evaluate(earlier)
    visitor.page.locator("time", has_text="3 hours ago").first.wait_for()


def test_who_is_no_admin_lets_nobody_in_or_out(
    scene: Scene, place: Place, browser: Chromium
) -> None:
    with visiting(browser, place.url) as visitor:
        visitor.sign_in("lin", PASSWORD)
        visitor.open("/sites")
        assert visitor.page.get_by_text("Let a site join").count() == 0
        visitor.open(f"/sites/{BUSY}", BUSY)
        assert visitor.page.get_by_role("button", name="Remove").count() == 0
        assert visitor.faults == []
        answer = visitor.page.goto(f"{place.url}/join")
        assert answer is not None
        assert answer.status == 403
