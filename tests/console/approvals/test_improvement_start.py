"""An improvement is started in a real browser, by whoever may, and told wrong at its fields."""

from __future__ import annotations

import re

import pytest
from benchmarks.rig.browser import Chromium
from playwright.sync_api import Locator, expect
from tests.console.approvals import improving_scene
from tests.console.approvals.improving_scene import OTHER, SITES, Scene
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place

FORM = "/approvals/new?stack=digits%3A1&served_as=digits"


@pytest.fixture(scope="module")
def scene(place: Place) -> Scene:
    """What sites serve and have returned; two samples of it are reviewed."""
    made = improving_scene.fill(place)
    made.label(made.returned[:2])
    return made


def fits(visitor: Visitor) -> None:
    assert visitor.unfit() == []
    assert visitor.overflow() == []


def figures(visitor: Visitor) -> Locator:
    return visitor.page.locator(".figures.small .value")


def request_of(place: Place, visitor: Visitor) -> dict[str, object]:
    """What was asked for, of the improvement whose page is open."""
    visitor.page.wait_for_url(re.compile("/approvals/[0-9a-f-]{36}$"))
    visitor.settle()
    found = place.client.improvement(visitor.page.url.rpartition("/")[2])
    assert found["actor"].startswith("person:")
    request: dict[str, object] = found["request"]
    return request


def test_a_stack_is_chosen_and_every_fault_stands_at_its_field(
    scene: Scene, visitor: Visitor, place: Place
) -> None:
    page = visitor.page
    visitor.open("/approvals", "Approvals")
    page.get_by_role("link", name="Start an improvement").click()
    page.wait_for_url("**/approvals/new")
    visitor.settle()
    assert page.locator("tbody th").all_inner_texts() == ["digits"]
    assert page.locator("tbody td").all_inner_texts() == [
        "digits:1",
        "2",
        "4",
        "2",
    ]  # reviewed, waiting, sites
    fits(visitor)
    page.get_by_role("link", name="digits", exact=True).click()
    page.locator("h1", has_text="Improve digits:1").wait_for()
    expect(figures(visitor)).to_have_text(["4", "2", "0"])
    fits(visitor)

    page.get_by_label("Served as").fill("Digits of Ours")
    page.get_by_label("Only samples of one site").fill("mine-9")
    page.get_by_label("Held out for the gates").fill("ninety")
    page.get_by_label("Samples it waits for").fill("ten")
    page.get_by_role("radio", name="Sites that I pick").click()
    page.get_by_role("button", name="Start", exact=True).click()
    for sentence in (
        "Begin and end with a lower-case letter",
        "There is no site of this name",
        "Write a percentage above 0",
        "Write a whole number",
        "Pick at least one site.",
    ):
        expect(page.get_by_text(sentence)).to_be_visible()
    assert page.get_by_label("Served as").input_value() == "Digits of Ours"
    assert page.get_by_label("Held out for the gates").input_value() == "ninety"
    fits(visitor)

    page.get_by_label("Served as").fill("digits")
    page.get_by_label("Only samples of one site").fill(SITES[0])
    page.get_by_label("Held out for the gates").fill("25 %")
    page.get_by_label("Samples it waits for").fill("40")
    page.get_by_role("checkbox", name=SITES[1], exact=True).click()
    page.get_by_role("button", name="Start", exact=True).click()
    request = request_of(place, visitor)
    assert (request["recipe"], request["dataset"]) == (scene.digits.recipe, "digits")
    assert (request["served_as"], request["from_site"]) == ("digits", SITES[0])
    assert (request["holdout"], request["min_samples"]) == (0.25, 40)
    assert request["sites"] == [SITES[1]]


def test_the_sites_that_serve_it_get_it_unless_others_are_picked(
    scene: Scene, place: Place, browser: Chromium
) -> None:
    with visiting(browser, place.url) as builder:
        builder.sign_in("bo", PASSWORD)
        builder.open(f"{FORM}&min_samples=50", "Improve digits:1")
        expect(builder.page.get_by_text("a person must approve it")).to_be_visible()
        expect(
            builder.page.get_by_role("radio", name="All that serve this name now (2)")
        ).to_be_checked()
        builder.page.get_by_role("button", name="Start", exact=True).focus()
        builder.page.keyboard.press("Enter")
        assert request_of(place, builder)["sites"] == list(SITES)
        assert builder.faults == []


def test_what_it_would_learn_from_is_live(scene: Scene, visitor: Visitor) -> None:
    page = visitor.page
    visitor.open(f"{FORM}&min_samples=5", "Improve digits:1")
    expect(figures(visitor)).to_have_text(["4", "2", "0"])
    begins = page.locator("p[role=status]", has_text="It begins once 3 more of the 5")
    expect(begins).to_be_visible()
    expect(page.get_by_text("reviewers would change about 4 answers")).to_be_visible()
    more = scene.send(3, SITES[1])
    expect(figures(visitor)).to_have_text(["7", "2", "0"])
    scene.label(more)
    expect(figures(visitor)).to_have_text(["4", "5", "0"])
    expect(page.get_by_text("5 are reviewed, so it begins at once.")).to_be_visible()
    page.get_by_label("Only samples of one site").fill(SITES[1])
    page.locator("h2", has_text=f"Samples of digits from {SITES[1]}").wait_for()
    expect(figures(visitor)).to_have_text(["0", "3", "0"])
    page.get_by_label("Served as").fill("nothing")
    expect(page.get_by_role("radio", name="All that serve this name now (0)")).to_be_visible()
    expect(figures(visitor)).to_have_text(["0", "0", "0"])


def test_its_address_carries_all_that_is_typed(
    scene: Scene, visitor: Visitor, place: Place, browser: Chromium
) -> None:
    page = visitor.page
    visitor.open("/approvals/new?stack=spare:1", "Improve spare:1")
    expect(page.get_by_role("radio", name="Sites that I pick")).to_be_checked()  # no site serves it
    page.get_by_label("Only samples of one site").fill(SITES[0])
    page.get_by_label("Held out for the gates").fill("5 %")
    page.get_by_label("Samples it waits for").fill("7")
    page.get_by_role("checkbox", name=SITES[0], exact=True).click()
    page.wait_for_url(f"**min_samples=7&sites={SITES[0]}")
    with visiting(browser, place.url) as other:
        other.sign_in("lin", PASSWORD)
        other.open(page.url.removeprefix(place.url), "Improve spare:1")
        assert other.page.get_by_label("Served as").input_value() == "spare"
        assert other.page.get_by_label("Only samples of one site").input_value() == SITES[0]
        assert other.page.get_by_label("Held out for the gates").input_value() == "5 %"
        assert other.page.get_by_label("Samples it waits for").input_value() == "7"
        expect(other.page.get_by_role("checkbox", name=SITES[0], exact=True)).to_be_checked()
        other.page.get_by_role("button", name=f"Leave {SITES[0]} out").click()
        expect(other.page.get_by_role("checkbox", name=SITES[0], exact=True)).not_to_be_checked()
        assert other.faults == []


def test_a_site_that_is_gone_is_told_and_nothing_starts(
    scene: Scene, visitor: Visitor, place: Place
) -> None:
    before = len(place.client.improvements())
    visitor.open(f"{FORM}&sites=mine-7", "Improve digits:1")
    visitor.page.get_by_role("button", name="Start", exact=True).click()
    expect(visitor.page.get_by_text("One of these sites is not there any more")).to_be_visible()
    assert len(place.client.improvements()) == before


def test_other_pages_lead_to_it(scene: Scene, visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/stacks/digits/1", "digits:1")
    page.get_by_role("link", name="Improve it with reviewed samples").click()
    page.locator("h1", has_text="Improve digits:1").wait_for()
    visitor.open("/review?stack=digits", "Review")
    page.get_by_role("link", name="Start an improvement with what is reviewed").click()
    page.locator("h1", has_text="Improve digits:1").wait_for()
    visitor.open("/review?stack=plants", "Review")
    expect(page.locator(".figures").first).to_be_visible()
    assert page.get_by_role("link", name="Start an improvement").count() == 0


def test_what_cannot_run_again_is_told(scene: Scene, visitor: Visitor) -> None:
    visitor.open("/approvals/new?stack=base:1", "Start an improvement")
    notice = visitor.page.locator(".notice")
    expect(notice).to_contain_text("base:1 was brought in and not made by a recipe")
    assert notice.get_by_role("link").get_attribute("href") == "/runs/new?from=base%3A1"
    fits(visitor)
    visitor.open("/stacks/base/1", "base:1")
    assert visitor.page.get_by_role("link", name="Improve it").count() == 0
    visitor.open("/approvals/new?search=nothing", "Start an improvement")
    expect(visitor.page.locator(".notice")).to_be_visible()
    visitor.open("/approvals/new?search=SPAR", "Start an improvement")
    assert visitor.page.locator("#main .panel a").all_inner_texts() == ["spare:1"]
    visitor.open("/approvals/new?search=nothing&holdout=30")
    visitor.page.get_by_label("Stack or served name").fill("spar")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/approvals/new?holdout=30&search=spar")
    kept = visitor.page.locator("#main .panel a").get_attribute("href")
    assert kept == "/approvals/new?stack=spare%3A1&holdout=30"


def test_a_reader_sees_no_way_to_it(scene: Scene, place: Place, browser: Chromium) -> None:
    with visiting(browser, place.url) as reader:
        reader.sign_in("rui", PASSWORD)
        for address in ("/approvals", "/review", "/stacks/digits/1"):
            reader.open(address)
            assert reader.page.locator("a[href^='/approvals/new']").count() == 0
        assert reader.faults == []
        answer = reader.page.goto(place.url + FORM)
        assert answer is not None
        assert answer.status == 403
        assert reader.page.get_by_label("Served as").count() == 0


def test_nothing_of_another_project_is_offered(
    scene: Scene, visitor: Visitor, place: Place
) -> None:
    for address in ("/approvals/new", FORM):
        visitor.open(address)
        assert OTHER not in visitor.page.content()
    answer = visitor.page.goto(f"{place.url}/approvals/new?stack={OTHER}-model:1")
    assert answer is not None
    assert answer.status == 404
    visitor.faults.clear()  # the browser itself notes the 404


def test_it_speaks_chinese(scene: Scene, visitor: Visitor) -> None:
    visitor.open("/approvals")
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="审批").wait_for()
    try:
        for address, heading in (
            ("/approvals/new", "发起改进"),
            (FORM, "改进 digits:1"),
            (f"{FORM}&holdout=ninety", "改进 digits:1"),
        ):
            visitor.open(address, heading)
            fits(visitor)
        visitor.page.get_by_role("button", name="开始", exact=True).click()
        expect(visitor.page.get_by_text("请填写大于 0 且不超过 50 的百分比。")).to_be_visible()
    finally:
        visitor.page.locator(".foot button[name=language]").click()
        visitor.page.locator(".foot button[name=language][value=zh]").wait_for()
