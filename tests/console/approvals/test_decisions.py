"""Approvals in a real browser: the evidence, the buttons, the reason, the policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.rig.browser import Chromium
from playwright.sync_api import expect
from tests.console.approvals import decisions_scene
from tests.console.approvals.decisions_scene import SITES, Scene
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place

from dizuo.improvements import service as improvements
from dizuo.improvements.model import State


@pytest.fixture(scope="module")
def scene(place: Place) -> Scene:
    """Improvements in all states."""
    return decisions_scene.fill(place.database)


@pytest.fixture
def releaser(place: Place, browser: Chromium) -> Iterator[Visitor]:
    """A releaser who has signed in."""
    with visiting(browser, place.url) as one:
        one.sign_in("lin", PASSWORD)
        yield one
        assert one.faults == []


def state_of(place: Place, improvement_id: str) -> State:
    with place.database.reading() as session:
        return improvements.get(session, improvement_id).state


def reason_of(place: Place, improvement_id: str) -> str:
    with place.database.reading() as session:
        return improvements.get(session, improvement_id).reason


def test_the_evidence_stands_beside_the_buttons(scene: Scene, releaser: Visitor) -> None:
    releaser.open("/approvals", "Approvals")
    card = releaser.page.locator(".weighed", has=releaser.page.get_by_text("meter-reading:3"))
    expect(card).to_have_count(1)
    text = card.inner_text()
    for said in (
        "3 of 3 gates were met",
        "0.941 to 0.979 at 95%",
        "0.031",
        "Released now: meter-reading:1",
        "4,210 rows, 12 of them new",
        "operator:ann 4, bo 4, mei 4",
        "Sites it would go to (3)",
        *SITES,
    ):
        assert said in text, said
    assert card.get_by_role("button", name="Approve meter-reading:3").is_visible()
    assert releaser.unfit() == []
    assert releaser.overflow() == []


def test_a_rejection_needs_a_reason_and_keeps_what_was_typed(
    scene: Scene, releaser: Visitor, place: Place
) -> None:
    page = releaser.page
    releaser.open("/approvals")
    page.get_by_role("button", name="Reject meter-reading:2").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Reject").click()
    expect(dialog.get_by_text("Say why.")).to_be_visible()
    why = dialog.get_by_label("Why")
    why.fill("x" * 501)
    dialog.get_by_role("button", name="Reject").click()
    expect(dialog.get_by_text("at most 500 are kept")).to_be_visible()
    assert why.input_value() == "x" * 501
    assert releaser.unfit() == []
    why.fill("worse at night")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Reject meter-reading:2").click()
    assert dialog.get_by_label("Why").input_value() == "worse at night"
    dialog.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("button", name="Reject meter-reading:2")).to_have_count(0)
    decided = page.locator("section", has=page.get_by_role("heading", name="Decided lately"))
    expect(decided.get_by_text("Rejected by person:lin: worse at night")).to_be_visible()
    assert state_of(place, scene.waiting[0]) is State.REJECTED


def test_an_approval_is_asked_about_and_goes_on_to_the_sites(
    scene: Scene, releaser: Visitor, place: Place
) -> None:
    page = releaser.page
    releaser.open(f"/approvals/{scene.waiting[1]}", "Improvement of meter-reading:3")
    assert releaser.unfit() == []
    assert releaser.overflow() == []
    page.get_by_role("button", name="Approve meter-reading:3").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert state_of(place, scene.waiting[1]) is State.AWAITING_APPROVAL
    page.get_by_role("button", name="Approve meter-reading:3").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(page.locator(".steps .now")).to_contain_text("Sites take it in", timeout=30_000)
    assert state_of(place, scene.waiting[1]) is State.ROLLING_OUT
    expect(page.locator(".steps .now")).to_contain_text("0 of 3 sites serve it.", timeout=30_000)
    with place.database.reading() as session:
        assert improvements.get(session, scene.waiting[1]).approver == "person:lin"


def test_what_waits_for_reviews_can_be_ended_from_its_page(
    scene: Scene, releaser: Visitor, place: Place
) -> None:
    page = releaser.page
    releaser.open(f"/approvals/{scene.reviewing}", "Improvement of meter-reading")
    expect(page.locator(".steps .now")).to_contain_text("0 of 50 are there")
    page.get_by_role("button", name="Reject meter-reading").click()
    page.get_by_label("Why").fill("not now")
    page.get_by_role("dialog").get_by_role("button", name="Reject").click()
    expect(page.locator(".steps .stopped")).to_contain_text("not now")
    assert reason_of(place, scene.reviewing) == "Rejected by person:lin: not now"


def test_ended_improvements_say_why(scene: Scene, releaser: Visitor) -> None:
    releaser.open(f"/approvals/{scene.failed}", "Improvement of meter-reading")
    expect(releaser.page.locator(".steps .stopped")).to_contain_text("The disk is full.")
    releaser.open("/approvals")
    expect(releaser.page.get_by_text("wrong dataset").first).to_be_visible()


def test_an_admin_switches_the_policy(scene: Scene, visitor: Visitor, place: Place) -> None:
    page = visitor.page
    visitor.open("/approvals", "Approvals")
    switch = page.get_by_role("switch", name="Ask for approval")
    assert switch.get_attribute("aria-checked") == "false"
    switch.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert place.client.improvement_policy()["require_approval"] is False
    switch.click()
    page.get_by_role("dialog").get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_text("Said by mei.")).to_be_visible()
    expect(switch).to_have_attribute("aria-checked", "true")
    assert place.client.improvement_policy() == {"require_approval": True, "actor": "person:mei"}
    assert visitor.unfit() == []


def test_a_role_that_was_taken_away_counts_at_once(
    scene: Scene, place: Place, browser: Chromium
) -> None:
    place.client.create_account("ann", "releaser", PASSWORD)
    with visiting(browser, place.url) as one:
        one.sign_in("ann", PASSWORD)
        with place.database.transaction() as session:
            waiting = decisions_scene.add_waiting(session, 9)
        one.open(f"/approvals/{waiting}")
        place.client.set_account_role("ann", "reader")
        one.page.get_by_role("button", name="Approve meter-reading:9").click()
        one.page.get_by_role("dialog").get_by_role("button", name="Approve").click()
        expect(one.page.get_by_text("ann does not have it")).to_be_visible()
        assert state_of(place, waiting) is State.AWAITING_APPROVAL
        assert one.faults == []


def test_in_chinese_too(scene: Scene, place: Place, browser: Chromium) -> None:
    with visiting(browser, place.url) as one:
        one.sign_in("rui", PASSWORD)
        one.page.locator(".foot button[name=language]").click()
        one.open("/approvals", "审批")
        expect(one.page.get_by_text("由“发布”或“管理员”角色审批。").first).to_be_visible()
        one.open(f"/approvals/{scene.failed}", "改进：meter-reading")
        assert one.unfit() == []
        assert one.overflow() == []
        assert one.faults == []
