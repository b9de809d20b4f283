"""The pages of runs in a real browser, before a hub that trains for real."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from benchmarks.rig.browser import Chromium
from playwright.sync_api import Page, expect
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place
from tests.console.runs.runs_scene import add_bars, add_run, recipe

from dizuo.runs import service

PATIENCE_MS = 120_000
"""For what a real trainer does on a busy machine."""
LOSSES = (0.7, 0.5, 0.4, 0.3)
MADE = {"stack": "bars:7", "digest": "sha256:" + "ab" * 32, "metrics": {"trained_accuracy": 0.5}}


@pytest.fixture(scope="module", autouse=True)
def bars(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The hub has `bars@1` and its test."""
    add_bars(place.home, tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="module")
def old_run(place: Place) -> str:
    """A tune that ended a while ago."""
    return add_run(place, "tune", {"recipe": recipe("older")}, LOSSES, MADE)


@pytest.fixture(scope="module")
def failed_run(place: Place) -> str:
    """A tune that could not be done."""
    error = {"code": "invalid_input", "message": "The labels <differ>.", "next_step": "Mend them."}
    return add_run(place, "tune", {"recipe": recipe("broken")}, (), error)


@pytest.fixture
def visitor(place: Place, browser: Chromium) -> Iterator[Visitor]:
    """A builder who has signed in and is patient."""
    with visiting(browser, place.url) as one:
        one.page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        one.sign_in("bo", PASSWORD)
        yield one
        assert one.faults == []


def field(*path: str) -> str:
    return "#" + "-".join(["field", *path])


def fit(visitor: Visitor) -> None:
    assert visitor.unfit() == []
    assert visitor.overflow() == []


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def start_what_is_empty(visitor: Visitor) -> None:
    page = visitor.page
    page.select_option(field("family"), "vision")
    expect(page.locator(field("method", "architecture", "type"))).to_have_value("resnet")
    press(page, "Start")
    page.locator("[role=alert]").wait_for()
    expect(page.locator("#field-name-error")).to_contain_text("name")
    expect(page.locator("#field-method-epochs-error")).to_contain_text("is missing")
    fit(visitor)


def fill_in_with_mistakes(page: Page) -> None:
    page.fill(field("name"), "Bars of Ours")
    page.fill(field("data", "train"), "bars@1")
    page.fill(field("method", "epochs"), "many")
    page.fill(field("method", "learning_rate"), "0.01")
    for name, size in (("height", "8"), ("width", "8")):
        page.fill(field("method", "architecture", "image", name), size)
    page.select_option(field("method", "architecture", "image", "channels"), "1")
    page.fill(field("gates", "0", "suite"), "bars-test@1")
    page.select_option(field("gates", "0", "metric"), "accuracy")
    page.fill(field("gates", "0", "at_least"), "0.1")
    press(page, "Only check")
    expect(page.locator("#field-name-error")).to_contain_text("Bars of Ours")
    expect(page.locator(field("name"))).to_have_value("Bars of Ours")
    expect(page.locator(field("method", "epochs"))).to_have_value("many")


def mend_as_yaml(visitor: Visitor) -> None:
    """All but the dataset, whose mistake only the database shows."""
    page, text = visitor.page, visitor.page.locator("#recipe-text")
    press(page, "YAML")
    expect(text).to_have_value(re.compile("name: Bars of Ours"))
    expect(page.locator("#recipe-problems li").first).to_contain_text("Line 1, column 1")
    fit(visitor)
    text.fill("# kept\n" + text.input_value() + "colour: [red\n")
    press(page, "Form")
    expect(page.locator("#recipe-problems")).to_contain_text("not YAML")
    written = text.input_value().replace("colour: [red\n", "").replace("Bars of Ours", "bars")
    text.fill(written.replace("epochs: many", "epochs: 40").replace("bars@1", "bars@9"))
    press(page, "Start")
    lines = text.input_value().split("\n")
    line = next(number for number, one in enumerate(lines, start=1) if "bars@9" in one)
    expect(page.locator("#recipe-problems")).to_contain_text(f"Line {line}, ")
    page.locator("#recipe-problems button").first.click()
    chosen = "area => area.value.slice(area.selectionStart, area.selectionEnd)"
    assert "bars@9" in text.evaluate(chosen)


def test_a_recipe_is_written_started_watched_and_compared(
    visitor: Visitor, place: Place, old_run: str
) -> None:
    page = visitor.page
    visitor.open("/runs/new", "Start a recipe")
    start_what_is_empty(visitor)
    fill_in_with_mistakes(page)
    mend_as_yaml(visitor)
    press(page, "Form")
    expect(page.locator("#field-data-train-error")).to_contain_text("has no version 9")
    page.fill(field("data", "train"), "bars@1")
    press(page, "Start")

    page.wait_for_url(re.compile("/runs/[0-9a-f-]{36}$"))
    run_id = page.url.rpartition("/")[2]
    assert str(place.client.run(run_id)["spec"]["recipe"]).startswith("# kept\n")
    page.locator("h3", has_text="Loss").wait_for()
    expect(page.locator(".chart svg path[stroke='var(--accent)']").first).to_be_attached()
    expect(page.locator("h1")).to_contain_text("succeeded")
    expect(page.locator("h1")).to_contain_text("Tune bars:1")
    expect(page.get_by_role("button", name="Measure its gates")).to_be_visible()
    fit(visitor)

    page.select_option("#b", old_run)
    press(page, "Compare")
    page.locator("h1", has_text="Two runs").wait_for()
    expect(page.locator(".curve").first.locator("svg text", has_text="bars:7")).to_be_attached()
    loss = page.locator("tr", has=page.locator("th", has_text=re.compile("^Loss$")))
    expect(loss.locator("td").nth(1)).to_have_text("0.3")
    fit(visitor)


def test_a_run_is_cancelled_once_the_question_is_answered(visitor: Visitor, place: Place) -> None:
    page = visitor.page
    run = place.client.submit_run({"kind": "tune", "recipe": recipe("long", 1000)})
    visitor.open(f"/runs/{run['id']}")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="No, let it run").click()
    assert not place.client.run(run["id"])["cancel_requested"]
    page.get_by_role("button", name="Cancel").click()
    assert visitor.unfit() == []
    page.get_by_role("button", name="Yes, stop it").click()
    expect(page.locator("h1")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_the_list_is_searched_filtered_and_paged_by_address(
    visitor: Visitor, place: Place, old_run: str, failed_run: str
) -> None:
    page = visitor.page
    visitor.open("/runs", "Runs")
    page.select_option("#state", "failed")
    page.fill("#q", "BROKEN")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs?q=BROKEN&kind=&state=failed")
    expect(page.locator("tbody tr")).to_have_count(1)
    fit(visitor)
    page.locator("tbody a").click()
    page.wait_for_url(f"**/runs/{failed_run}")
    expect(page.locator("[role=alert]")).to_contain_text("The labels <differ>.")
    expect(page.locator("[role=alert]")).to_contain_text("Mend them.")
    fit(visitor)
    visitor.open("/runs?q=nothing+like+this")
    expect(page.locator(".panel")).to_have_text("There are no such runs.")
    visitor.open("/runs?page=2")
    expect(page.get_by_role("link", name="Previous page")).to_be_visible()


def test_a_new_run_appears_in_the_open_list(visitor: Visitor, place: Place) -> None:
    visitor.open("/runs?q=appears", "Runs")
    add_run(place, "tune", {"recipe": recipe("appears")}, (), {"stack": "appears:1"})
    visitor.page.get_by_role("link", name="Tune appears:1").wait_for()


def test_a_failed_run_s_recipe_is_where_a_new_one_begins(visitor: Visitor, failed_run: str) -> None:
    visitor.open(f"/runs/{failed_run}")
    visitor.page.get_by_role("link", name="Start from this recipe").click()
    visitor.page.wait_for_url(f"**/runs/new?run={failed_run}")
    expect(visitor.page.locator("#field-name")).to_have_value("broken")


def test_a_reader_sees_runs_and_starts_none(place: Place, browser: Chromium, old_run: str) -> None:
    with visiting(browser, place.url) as reader:
        reader.sign_in("rui", PASSWORD)
        reader.open("/runs", "Runs")
        assert reader.page.get_by_role("link", name="Start a recipe").count() == 0
        reader.open(f"/runs/{old_run}")
        assert reader.page.get_by_role("link", name="Start from this recipe").count() == 0
        assert reader.faults == []
        reader.page.goto(f"{place.url}/runs/new")
        assert reader.page.locator("#field-name").count() == 0
        reader.page.locator("[role=alert]").wait_for()


def test_nothing_of_another_project_is_shown(visitor: Visitor, place: Place, old_run: str) -> None:
    with place.database.transaction() as session:
        spec = {"recipe": recipe("secret")}
        theirs = service.submit(session, "secret_kind", spec, "1", "eve", project_id="theirs")
        service.cancel(session, theirs.id, "eve")
    visitor.open("/runs?q=secret")
    assert "secret" not in visitor.page.locator(".page").inner_text()
    for address in (
        f"/runs/{theirs.id}",
        f"/runs/new?run={theirs.id}",
        f"/runs/compare?a={theirs.id}&b={old_run}",
    ):
        visitor.page.goto(place.url + address)
        visitor.page.locator("[role=alert]").wait_for()
        assert "secret" not in visitor.page.locator(".page").inner_text()
    visitor.faults.clear()  # the browser itself notes each 404


def test_pages_speak_chinese(visitor: Visitor, old_run: str, failed_run: str) -> None:
    visitor.open("/runs", "Runs")
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="任务").wait_for()
    try:
        two = f"/runs/compare?a={old_run}&b={failed_run}"
        for address in (f"/runs/{old_run}", "/runs/new", two):
            visitor.open(address)
            assert re.search("[一-鿿]", visitor.page.locator("h1").inner_text())
            fit(visitor)
        visitor.open("/runs/new")
        press(visitor.page, "启动")
        told = visitor.page.locator("#field-name-error")
        expect(told).to_have_text("'name' 必须是文本，而不是空值。")
        assert "must be" not in visitor.page.locator("main").inner_text()
    finally:
        visitor.page.locator(".foot button[name=language]").click()
        visitor.page.locator(".foot button[name=language][value=zh]").wait_for()
