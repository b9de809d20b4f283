"""Releases and rollouts in a real browser: signed, taken back, started, watched, stopped."""

from __future__ import annotations

import pytest
from benchmarks.rig.browser import Chromium
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place
from tests.console.sites.site_scene import BROKEN, Scene, fill
from tests.releases.stacks import gate, gated, register

from dizuo.gates.report import Verdict
from dizuo.sites.rollout_model import Rollout


@pytest.fixture(scope="module")
def scene(place: Place) -> Scene:
    """A filled hub."""
    made = fill(place)
    with place.database.transaction() as session:
        gate(session, register(session, "secret", 1, project_id="other"), Verdict.PASS)
    return made


def _answer(visitor: Visitor, name: str) -> None:
    """Say yes to what the page asks."""
    visitor.page.get_by_role("dialog").get_by_role("button", name=name).click()


def _at(scene: Scene, rollout: Rollout) -> str:
    return scene.fleet.rollout(rollout).state.value


def test_pages_fit_every_width_and_everybody(scene: Scene, visitor: Visitor) -> None:
    for address in (
        "/releases",
        f"/releases/{scene.new.id}",
        "/releases/rollouts",
        f"/releases/rollouts/{scene.second.id}",
        f"/releases/rollouts/new?release={scene.new.id}",
    ):
        visitor.open(address)
        assert visitor.overflow() == []
        assert visitor.unfit() == []


def test_releases_are_searched_and_filtered_by_address(scene: Scene, visitor: Visitor) -> None:
    visitor.open("/releases", "Releases")
    names = visitor.page.locator("section:has(caption:text('Releases, newest first')) tbody th")
    assert names.all_inner_texts() == ["gauges:1", "meter-reading:2", "meter-reading:1"]
    visitor.page.get_by_label("Stack or digest").fill("meter")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/releases?q=meter")
    visitor.settle()
    assert names.all_inner_texts() == ["meter-reading:2", "meter-reading:1"]
    visitor.open("/releases?state=withdrawn")
    assert names.all_inner_texts() == ["gauges:1"]
    assert "secret" not in visitor.page.locator("main").inner_text()


def test_what_passed_is_released_and_taken_back_by_a_releaser(
    scene: Scene, place: Place, browser: Chromium
) -> None:
    with place.database.transaction() as session:
        gated(session, "fresh", 1)
    with visiting(browser, place.url) as visitor:
        visitor.sign_in("lin", PASSWORD)
        visitor.open("/releases")
        visitor.page.get_by_role("button", name="Release fresh:1").click()
        visitor.page.get_by_text("It is signed as fit to run.").wait_for()
        _answer(visitor, "Release")
        visitor.page.locator("h1", has_text="Release of fresh:1").wait_for()
        assert "person:lin" in visitor.page.locator("main").inner_text()
        visitor.page.get_by_role("button", name="Withdraw").click()
        visitor.page.get_by_text("it can never be released again").wait_for()
        assert visitor.unfit() == []
        _answer(visitor, "Withdraw")
        visitor.page.locator("main .badge", has_text="withdrawn").wait_for()
        assert visitor.page.get_by_role("button", name="Withdraw").count() == 0
        visitor.open("/releases")
        assert visitor.page.get_by_role("button", name="Release fresh:1").count() == 0
        assert visitor.faults == []


def test_who_may_only_look_sees_no_buttons_and_no_form(
    scene: Scene, place: Place, browser: Chromium
) -> None:
    with visiting(browser, place.url) as visitor:
        visitor.sign_in("rui", PASSWORD)
        rollout = f"/releases/rollouts/{scene.second.id}"
        for address in ("/releases", f"/releases/{scene.new.id}", rollout):
            visitor.open(address)
            assert visitor.page.locator("main button:not([type=submit])").count() == (
                visitor.page.locator("main form button").count()
            )
            assert visitor.page.get_by_text("Start a rollout").count() == 0
        assert visitor.faults == []
        answer = visitor.page.goto(f"{place.url}/releases/rollouts/new?release={scene.new.id}")
        assert answer is not None
        assert answer.status == 403


def test_a_rollout_is_watched_stopped_and_rolled_back(scene: Scene, visitor: Visitor) -> None:
    sites = ["mine-21", "mine-22", "mine-23"]
    rollout = scene.fleet.start("meter-reading:2", sites, served_as="watched")
    visitor.open(f"/releases/rollouts/{rollout.id}", "Rollout of meter-reading:2")
    summary = visitor.page.locator("main")
    summary.get_by_text("0 of 3 sites done").wait_for()
    scene.fleet.arrive("mine-21")
    summary.get_by_text("1 of 3 sites done").wait_for()
    visitor.page.get_by_role("button", name="Stop").click()
    visitor.page.get_by_text("Sites that have arrived stay.").wait_for()
    _answer(visitor, "Stop")
    summary.locator(".facts .badge", has_text="stopped").wait_for()
    assert "by mei" in summary.inner_text()
    assert _at(scene, rollout) == "stopped"
    visitor.page.get_by_role("button", name="Stop").wait_for(state="hidden")
    visitor.page.get_by_role("link", name="done", exact=False).first.click()
    visitor.page.wait_for_url("**?state=done")
    visitor.settle()
    assert visitor.page.locator("tbody th").all_inner_texts() == ["mine-21"]
    visitor.page.get_by_role("button", name="Roll back").click()
    _answer(visitor, "Roll back")
    summary.locator(".facts .badge", has_text="rolled back").wait_for()
    assert _at(scene, rollout) == "rolled_back"
    assert "watched" not in {one.served_as for one in scene.fleet.poll("mine-21").stacks}


def test_why_a_site_fell_back_is_told_in_words(scene: Scene, visitor: Visitor) -> None:
    visitor.open(f"/releases/rollouts/{scene.second.id}?state=failed")
    assert visitor.page.locator("tbody th").all_inner_texts() == [BROKEN]
    text = visitor.page.locator("main").inner_text()
    assert f"{BROKEN} fell back (the probe failed: It misread.)" in text


def test_a_rollout_is_started_at_sites_that_were_searched_for_and_picked(
    scene: Scene, visitor: Visitor
) -> None:
    visitor.open(f"/releases/{scene.new.id}")
    visitor.page.get_by_role("link", name="Start a rollout").click()
    visitor.settle()
    name = visitor.page.get_by_label("Served as")
    assert name.input_value() == "meter-reading"
    name.fill("no name")
    visitor.page.get_by_role("button", name="Start").click()
    visitor.page.get_by_text("Pick at least one site.").wait_for()
    assert visitor.page.get_by_text("It may not end in .json.").is_visible()
    assert name.input_value() == "no name"
    name.fill("picked")
    for site in ("mine-31", "mine-47"):
        visitor.page.get_by_label("Search sites by name").fill(site)
        box = visitor.page.get_by_role("checkbox", name=site)
        box.wait_for()
        visitor.page.get_by_role("checkbox").nth(1).wait_for(state="detached")
        box.click()
        visitor.page.get_by_role("button", name=f"Leave {site} out").wait_for()
    visitor.page.get_by_text("2 picked").wait_for()
    visitor.page.get_by_role("button", name="Leave mine-31 out").click()
    visitor.page.get_by_text("1 picked").wait_for()
    assert visitor.unfit() == []
    visitor.page.get_by_role("button", name="Start").click()
    visitor.page.get_by_text("Direct 1 sites to meter-reading:2?").wait_for()
    _answer(visitor, "Start")
    visitor.page.locator("h1", has_text="Rollout of meter-reading:2").wait_for()
    assert {one.served_as for one in scene.fleet.poll("mine-47").stacks} >= {"picked"}
    assert "picked" not in {one.served_as for one in scene.fleet.poll("mine-31").stacks}


def test_a_rollout_to_all_sites_reaches_those_of_this_project(
    scene: Scene, visitor: Visitor
) -> None:
    visitor.open(f"/releases/rollouts/new?release={scene.new.id}")
    visitor.page.get_by_label("Served as").fill("everywhere")
    visitor.page.get_by_role("radio", name="All sites (60)").click()
    visitor.page.get_by_label("Search sites by name").wait_for(state="hidden")
    visitor.page.get_by_role("button", name="Start").click()
    _answer(visitor, "Start")
    visitor.page.get_by_text("0 of 60 sites done").wait_for()


def test_what_is_refused_is_told_and_nothing_changes(scene: Scene, visitor: Visitor) -> None:
    visitor.open(f"/releases/rollouts/new?release={scene.old.id}&site=mine-50")
    visitor.page.get_by_role("button", name="Leave mine-50 out").wait_for()
    scene.fleet.withdraw(scene.old)
    visitor.page.get_by_role("button", name="Start").click()
    _answer(visitor, "Start")
    visitor.page.get_by_text("meter-reading:1 was withdrawn.").wait_for()
    assert visitor.page.get_by_role("button", name="Leave mine-50 out").is_visible()
