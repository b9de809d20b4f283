"""Review in a real browser, by keyboard alone."""

from __future__ import annotations

import re

import httpx2
import pytest
from benchmarks.rig.browser import Chromium
from playwright.sync_api import Page, expect
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place
from tests.console.review import review_scene as scene

from dizuo.datasets import desk, opinions, review, samples
from dizuo.datasets.model import Sample
from dizuo.datasets.review import Verdict
from dizuo.datasets.samples import SampleFilter


@pytest.fixture(scope="module")
def stacks(place: Place) -> dict[str, str]:
    """Digests of a classifier with few classes, one with many, and one that extracts."""
    few, many = (
        scene.vision_recipe("digits", scene.DIGITS),
        scene.vision_recipe("plants", scene.PLANTS),
    )
    return {
        "digits": scene.add_stack(place.database, "digits", "vision", few),
        "plants": scene.add_stack(place.database, "plants", "vision", many),
        "hotline": scene.add_stack(place.database, "hotline", "text", scene.text_recipe()),
    }


def sample(place: Place, key: str) -> Sample:
    with place.database.reading() as session:
        return samples.find(session, key)


def drawn(page: Page, after: str = "0") -> str:
    """Wait until the desk is drawn anew and has the focus; its drawing's number."""
    page.wait_for_function(
        "after => { const desk = document.getElementById('desk');"
        " return desk && +desk.dataset.drawn > +after && desk.contains(document.activeElement) }",
        arg=after,
    )
    return page.locator("#desk").get_attribute("data-drawn") or ""


def press(page: Page, key: str) -> None:
    """A key that draws the desk anew, pressed by somebody who waits to see it."""
    before = page.locator("#desk").get_attribute("data-drawn") or ""
    page.keyboard.press(key)
    drawn(page, before)


def open_desk(visitor: Visitor, query: str) -> Page:
    visitor.open(f"/review/label?{query}")
    drawn(visitor.page)
    return visitor.page


def test_ten_pictures_are_labelled_by_keyboard_alone(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    keys = scene.send_digits(place.database, place.home, 10, stacks["digits"])
    page = open_desk(visitor, "stack=digits")
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    expect(page.locator("img.picture")).to_have_js_property("naturalWidth", 28)
    assert page.evaluate("document.activeElement.value") == "3"  # the model's answer
    for number in range(10):
        if number % 2:
            page.keyboard.press(str(number % 7 + 1))
        press(page, "Enter")
    expect(page.locator("#desk")).to_contain_text("Nothing waits for you here.")
    found = [sample(place, key) for key in keys]
    assert [one.label for one in found] == [
        scene.DIGITS[number % 7] if number % 2 else "3" for number in range(10)
    ]
    assert {one.reviewer for one in found} == {"person:mei"}


def test_ten_calls_are_labelled_by_keyboard_alone(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    keys = scene.send_calls(place.database, place.home, 10, stacks["hotline"])
    page = open_desk(visitor, "stack=hotline")
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    assert page.evaluate("document.activeElement.name") == "/category"
    for number in range(10):
        if number == 0:
            page.keyboard.press("f")  # flooding
            page.keyboard.press("Tab")
            page.keyboard.press("End")
            page.keyboard.type(" 0 号")
        press(page, "Enter")
    expect(page.locator("#desk")).to_contain_text("Nothing waits for you here.")
    answer = {"category": "noise", "place": "人民路", "urgent": False, "people": 3}
    changed = answer | {"category": "flooding", "place": "人民路 0 号"}
    assert [sample(place, key).label for key in keys] == [changed] + [answer] * 9


def test_skip_not_usable_and_undo_are_keys(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    one, two, three = scene.send_digits(
        place.database, place.home, 3, stacks["digits"], served_as="keys"
    )
    page = open_desk(visitor, "stack=keys")
    press(page, "Alt+s")
    press(page, "Alt+u")
    assert [sample(place, key).state for key in (one, two)] == ["returned", "unusable"]
    press(page, "Alt+z")
    assert sample(place, two).state == "returned"
    page.keyboard.press("6")
    press(page, "Enter")
    assert sample(place, two).label == "5"
    press(page, "Alt+z")
    assert page.evaluate("document.activeElement.value") == "5"  # what was said stands there again
    press(page, "Enter")
    press(page, "Enter")
    assert [sample(place, key).state for key in (two, three)] == ["reviewed", "reviewed"]
    expect(page.locator("#desk")).to_contain_text("Nothing waits")
    before = page.locator("#desk").get_attribute("data-drawn")
    page.locator("h1").click()
    page.keyboard.press("Enter")  # there is nothing to save
    page.keyboard.press("Alt+z")  # from the empty desk too
    expect(page.locator("img.picture")).to_be_visible()
    assert drawn(page) == str(int(before or 0) + 1)
    assert sample(place, three).state == "returned"


def test_keys_work_after_a_click_on_the_page_and_not_in_other_controls(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    one, two = scene.send_digits(
        place.database, place.home, 2, stacks["digits"], served_as="clicks"
    )
    page = open_desk(visitor, "stack=clicks")
    page.locator(".head a").first.focus()
    page.keyboard.press("6")
    assert page.locator("[name=label]:checked").get_attribute("value") == "3"
    page.locator("img.picture").click()
    assert not page.evaluate("document.activeElement.closest('#desk')")
    page.keyboard.press("6")
    assert page.evaluate("document.activeElement.value") == "5"
    page.locator("h1").click()
    press(page, "Enter")
    assert sample(place, one).label == "5"
    page.locator("h1").click()
    press(page, "Alt+u")
    assert sample(place, two).state == "unusable"


def test_who_cannot_see_hears_the_sample_and_the_answer(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    scene.send_digits(place.database, place.home, 1, stacks["digits"], served_as="heard")
    scene.send_calls(place.database, place.home, 1, stacks["hotline"], served_as="heard-call")
    page = open_desk(visitor, "stack=heard")
    told = re.compile("The picture that the model was asked about.*3.*31% sure")
    expect(page.locator("fieldset.classes")).to_have_accessible_description(told)
    page = open_desk(visitor, "stack=heard-call")
    told = re.compile("门前积水很深.*noise.*31% sure")
    expect(page.locator(".json-form > fieldset")).to_have_accessible_description(told)
    press(page, "Alt+j")
    expect(page.locator(".json-form textarea")).to_have_accessible_description(told)


def test_of_many_labels_one_is_searched(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    [one, two] = scene.send_digits(
        place.database, place.home, 2, stacks["plants"], served_as="plants", answer="plant 07"
    )
    page = open_desk(visitor, "stack=plants")
    assert page.evaluate("document.activeElement.value") == "plant 07"
    assert visitor.unfit() == []
    page.keyboard.type("nt 3")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    press(page, "Enter")
    assert sample(place, one).label == "plant 31"
    page.keyboard.type("no plant")
    press(page, "Enter")
    expect(page.locator(".field-error")).to_contain_text("No label is called that")
    assert page.evaluate("document.activeElement.value") == "no plant"  # nothing typed is lost
    press(page, "Alt+u")
    assert sample(place, two).state == "unusable"


def test_what_is_wrong_is_told_at_its_field_and_nothing_typed_is_lost(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    [key] = scene.send_calls(place.database, place.home, 1, stacks["hotline"], served_as="faults")
    page = open_desk(visitor, "stack=faults")
    page.locator("[name='/people']").fill("many")
    page.locator("[name='/place']").fill("北京路")
    press(page, "Enter")
    assert page.evaluate("document.activeElement.name") == "/people"
    expect(page.locator("[id='field-/people-fault']")).to_have_text("This is not a number.")
    assert visitor.unfit() == []
    assert page.locator("[name='/place']").input_value() == "北京路"
    page.locator("[name='/people']").fill("2")
    before = drawn(page)
    page.locator("button", has_text="Add to callers").click()
    drawn(page, before)
    page.locator("[name='/callers/0/name']").fill("王")
    press(page, "Alt+j")
    assert '"王"' in page.locator("textarea").input_value()
    page.locator("textarea").fill('{"category": "noise",\n"place" }')
    press(page, "Enter")
    expect(page.locator(".field-error")).to_contain_text("at line 2, column 9")
    page.locator("textarea").fill(
        '{"category": "noise", "place": "", "urgent": true, "people": 1,'
        ' "callers": [{"name": "x"}]}'
    )
    press(page, "Alt+j")
    assert page.locator("[name='/callers/0/name']").input_value() == "x"
    press(page, "Enter")
    label = sample(place, key).label
    assert (label["people"], label["callers"]) == (1, [{"name": "x"}])


def test_two_people_never_have_the_same_sample_and_a_closed_page_lets_go(
    visitor: Visitor, place: Place, browser: Chromium, stacks: dict[str, str]
) -> None:
    scene.send_digits(place.database, place.home, 2, stacks["digits"], served_as="pair")
    page = open_desk(visitor, "stack=pair")
    with visiting(browser, place.url) as other:
        other.sign_in("lin", PASSWORD)
        second = open_desk(other, "stack=pair")
        mine, theirs = (one.locator("img.picture").get_attribute("src") for one in (page, second))
        assert mine != theirs
    with place.database.reading() as session:
        assert desk.num_held(session, "default") == 2
    visitor.open("/review?stack=pair", "Review")


def test_a_second_window_stops_the_first_which_keeps_what_was_typed(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    [key] = scene.send_calls(place.database, place.home, 1, stacks["hotline"], served_as="windows")
    page = open_desk(visitor, "stack=windows")
    page.locator("[name='/place']").fill("北京路")
    second = visitor.another_window("/review/label?stack=windows")
    drawn(second.page)
    press(page, "Enter")
    expect(page.locator(".told")).to_contain_text("open on another page of yours")
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    assert sample(place, key).state == "returned"
    press(page, "Alt+t")
    expect(page.locator(".told")).to_contain_text("before you here again")
    press(second.page, "Alt+s")  # the second one has lost it now
    before = drawn(second.page)
    second.page.locator(".told button", has_text="Go on here").click()
    drawn(second.page, before)
    press(page, "Enter")
    before = drawn(page)
    page.locator(".told button").click()
    drawn(page, before)
    assert page.locator("[name='/place']").input_value() == "北京路"
    press(page, "Enter")
    assert sample(place, key).label["place"] == "北京路"


def test_readers_see_the_queue_and_no_desk(
    place: Place, browser: Chromium, stacks: dict[str, str]
) -> None:
    with visiting(browser, place.url) as reader:
        reader.sign_in("rui", PASSWORD)
        reader.open("/review", "Review")
        assert reader.page.locator("a", has_text="Start labelling").count() == 0
        answer = reader.page.goto(f"{place.url}/review/label")
        assert answer is not None
        assert answer.status == 403
        assert "builder" in reader.page.locator("[role=alert]").inner_text()


@pytest.fixture(scope="module")
def judged(place: Place, stacks: dict[str, str]) -> list[str]:
    """Sixty samples, twenty of which have verdicts."""
    keys = scene.send_digits(
        place.database, place.home, 60, stacks["digits"], served_as="judged", site="mine-9"
    )
    with place.database.transaction() as session:
        for number, key in enumerate(keys[:20]):
            label = "3" if number % 4 else "5"
            review.judge(session, place.home, key, Verdict(label), "operator:ann")
    return keys


def test_the_queue_is_filtered_and_paged_by_its_address(
    visitor: Visitor, place: Place, judged: list[str]
) -> None:
    visitor.open("/review?stack=judged", "Review")
    page = visitor.page
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    rows = page.locator("section:has(form) tbody tr")
    assert rows.count() == 25
    assert rows.first.locator("code").inner_text() == judged[20].removeprefix("sha256:")[:10]
    page.locator("a[rel=next]").click()
    visitor.settle()
    assert "page=2" in page.url
    expect(page.locator("section:has(form)")).to_contain_text("26 to 40 of 40")
    page.locator("#state").select_option("reviewed")
    page.locator("#site").fill("mine-9")
    page.keyboard.press("Enter")
    page.wait_for_url("**state=reviewed*")
    visitor.settle()
    assert rows.count() == 20
    expect(page.locator("#main")).to_contain_text("would change about 10 answers (4 to 19)")


def test_a_disagreement_is_told_and_settled(
    visitor: Visitor, place: Place, browser: Chromium, stacks: dict[str, str]
) -> None:
    [key] = scene.send_digits(place.database, place.home, 1, stacks["digits"], served_as="split")
    with place.database.transaction() as session:
        review.judge(session, place.home, key, Verdict("1"), "person:bo")
        opinions.give(session, place.home, key, "2", "person:lin", project_id="default")
    visitor.open("/review?stack=split&state=all", "Review")
    page = visitor.page
    expect(page.locator("#main")).to_contain_text("0% (0%–79%) of 1")
    page.locator("a[href='/review/label?work=settle']").click()
    visitor.settle()
    drawn(page)
    expect(page.locator("h1")).to_have_text("Settle disagreements")
    expect(page.locator(".given")).to_contain_text("The two reviewers said")
    press(page, "Enter")  # nobody's word stands there first
    expect(page.locator(".field-error")).to_have_text("Choose one of the labels.")
    page.keyboard.press("3")
    press(page, "Enter")
    assert sample(place, key).label == "2"
    assert sample(place, key).reviewer == "person:mei"


def test_another_project_is_not_seen(
    visitor: Visitor, place: Place, stacks: dict[str, str]
) -> None:
    recipe = scene.vision_recipe("secret", scene.DIGITS)
    digest = scene.add_stack(place.database, "secret", "vision", recipe, project="other")
    [key] = scene.send_digits(
        place.database,
        place.home,
        1,
        digest,
        served_as="secret-stack",
        site="secret-site",
        project="other",
    )
    for address in ("/review?state=all", "/review/label?stack=secret-stack"):
        visitor.open(address)
        assert "secret" not in visitor.page.content().replace("stack=secret-stack", "")
    cookies = {one["name"]: one["value"] for one in visitor.context.cookies()}
    picture = f"{place.url}/review/samples/{key}/image"
    assert httpx2.get(picture, cookies=cookies).status_code == 404
    assert httpx2.get(picture).status_code == 404
    with place.database.reading() as session:
        assert samples.count(session, SampleFilter(project_id="other")) == {"returned": 1}


def test_review_in_chinese(visitor: Visitor, place: Place, stacks: dict[str, str]) -> None:
    scene.send_calls(place.database, place.home, 1, stacks["hotline"], served_as="zh")
    visitor.open("/review", "Review")
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="复核").wait_for()
    assert visitor.unfit() == []
    visitor.open("/review/label?stack=zh", "标注样本")
    drawn(visitor.page)
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="Label samples").wait_for()
