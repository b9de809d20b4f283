"""The pages of stacks in a real browser, before a hub that was filled by its own rooms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from benchmarks.rig.browser import Chromium
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place
from tests.console.stacks import stacks_scene
from tests.console.stacks.stacks_scene import (
    StackScene,
    agreement,
    latency,
    not_worse,
    score,
    worst,
)

from dizuo.artifacts.model import Level
from dizuo.stacks.model import StackVersion

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot")


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the tests look at: two versions of a scenario, a picture's row, and a row that no
    report shows."""

    scene: StackScene
    first: StackVersion
    second: StackVersion
    meter: StackVersion
    shown_row: str
    other_row: str


@pytest.fixture(scope="module")
def shelf(place: Place) -> Shelf:
    scene = StackScene(place.home, place.database)
    rows = [{"prompt": f"{word} {word[::-1]}: the lamp is out", "label": word} for word in WORDS]
    suite, digests = scene.dataset("hotline-test", rows)
    train, _ = scene.dataset("hotline", [{"prompt": f"{w}{w}", "label": w} for w in WORDS])
    more, _ = scene.dataset("hotline", [{"prompt": f"{w[::-1]}!", "label": w} for w in WORDS])
    base = scene.build("qwen3", Level.L0)
    government = scene.build("government", Level.L1, base, data=train)
    scene.build("government", Level.L1, base, data=more)
    first = scene.build("harbin", Level.L2, government, data=train, suite=suite)
    scene.gate(first, score(suite, 0.91), agreement(), latency())
    scene.release(first)
    scene.run(first, *(f"harbin-{place:02d}" for place in range(25)))
    second = scene.build("harbin", Level.L2, government, data=more, suite=suite, rank=16)
    wrong = tuple(worst(one, {"kind": "<b>road</b>"}, "alpha", 0.9) for one in digests[:2])
    scene.gate(second, score(suite, 0.86, worst=wrong), not_worse(suite, first.ref), agreement())
    meter, pictures = _meter(scene)
    return Shelf(scene, first, second, meter, pictures[0], pictures[1])


def _meter(scene: StackScene) -> tuple[StackVersion, list[str]]:
    """A vision stack that read one picture of its suite wrong."""
    rows = [{"image": stacks_scene.digit(n), "label": str(n)} for n in range(4)]
    suite, digests = scene.dataset("digits-test", rows, family="vision")
    targets = ("safetensors", "onnx")
    resnet = scene.build("resnet", Level.L0, family="vision", targets=targets)
    meter = scene.build("meter", Level.L2, resnet, family="vision", targets=targets)
    scene.gate(meter, score(suite, 0.7, worst=(worst(digests[0], "3", "0", 0.8, "0/a.png"),)))
    return meter, digests


PAGES = ("/stacks", "/stacks/harbin", "/stacks/harbin/1", "/stacks/harbin/2", "/stacks/meter/1")


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.usefixtures("shelf")
def test_every_page_is_fit_for_all_in_both_languages(visitor: Visitor, address: str) -> None:
    for heading in ("Stacks", "模型栈"):
        visitor.open(address)
        name = address.removeprefix("/stacks").strip("/").replace("/", ":")
        assert visitor.page.locator("h1").inner_text() == (name or heading)
        assert visitor.unfit() == []
        assert visitor.overflow() == []
        visitor.page.locator(".foot button[name=language]").click()
        visitor.settle()


def test_the_lineage_leads_from_a_base_to_what_stands_on_it(visitor: Visitor, shelf: Shelf) -> None:
    visitor.open("/stacks", "Stacks")
    nodes = visitor.page.locator(".lineage a")
    names = [node.locator(".name").text_content() for node in nodes.all()]
    assert names == [
        "qwen3:1",
        "government:2",
        "government:1",
        "harbin:2",
        "resnet:1",
        "meter:1",
    ]
    old = visitor.page.locator(".lineage a.old")
    assert old.locator(".name").text_content() == "government:1"
    harbin = visitor.page.locator(f'.lineage a[href="/stacks/harbin/{shelf.second.version}"]')
    told = harbin.text_content() or ""
    assert "L2 scenario · 0 sites" in told
    assert "gates not passed" in told
    assert len(visitor.page.locator(".lineage .edge").all()) == 4
    harbin.focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("h1", has_text="harbin:2").wait_for()


@pytest.mark.usefixtures("shelf")
def test_filters_are_an_address_and_stay_in_the_form(visitor: Visitor) -> None:
    visitor.open("/stacks")
    visitor.page.locator("#search").fill("GOV")
    visitor.page.locator("#level").select_option("L1")
    visitor.page.keyboard.press("Tab")
    visitor.page.locator("form.filters button").click()
    visitor.page.wait_for_url("**/stacks?search=GOV**")
    visitor.settle()
    assert visitor.page.locator("tbody th").all_inner_texts() == ["government:2"]
    assert visitor.page.locator("#search").input_value() == "GOV"
    assert visitor.page.locator("#level").input_value() == "L1"
    visitor.open("/stacks?search=nothing-like-it")
    assert "No stack fits that" in visitor.page.locator("main").first.inner_text()


def test_a_version_tells_all_about_itself(visitor: Visitor, shelf: Shelf) -> None:
    visitor.open(f"/stacks/harbin/{shelf.second.version}", "harbin:2")
    text = visitor.page.locator("#main").inner_text()
    assert shelf.second.digest in text
    assert "harbin:2 has not passed: 1 of 3 gates were met." in text
    rules = visitor.page.locator("#gates table").first.locator("tbody tr")
    assert [row.locator(".badge").inner_text() for row in rules.all()] == [
        "not met",
        "cannot tell",
        "met",
    ]
    assert "exact_match on hotline-test@1 is at least 0.9" in rules.first.inner_text()
    assert "a larger suite could" in rules.nth(1).inner_text()
    example = visitor.page.locator(".examples li").first
    assert "alpha ahpla: the lamp is out" in example.inner_text()
    assert "<b>road</b>" in example.inner_text()
    assert visitor.page.locator("#main b").count() == 0
    levels = visitor.page.locator("#layers tbody th").all_inner_texts()
    assert levels == ["L0 base", "L1 industry", "L2 scenario"]
    recipe = visitor.page.locator("#recipe code").all_inner_texts()
    assert recipe[1].strip() == "name: harbin"


def test_what_changed_since_the_version_before_and_since_the_parent(
    visitor: Visitor, shelf: Shelf
) -> None:
    visitor.open(f"/stacks/harbin/{shelf.second.version}")
    diff = visitor.page.locator("#diff")
    assert diff.locator("tr.removed code").all_inner_texts() == [
        "  train: hotline@1",
        "method: {kind: lora, rank: 8, epochs: 3, learning_rate: 0.01}",
    ]
    assert "rank: 16" in diff.locator("tr.added code").last.inner_text()
    assert "−0.05" in diff.inner_text()
    diff.locator(".tabs a", has_text="government:1").click()
    visitor.page.wait_for_url("**against=parent**")
    visitor.settle()
    assert visitor.page.locator("#diff thead th").nth(1).inner_text() == "government:1"


def test_the_trace_goes_from_sites_to_data(visitor: Visitor, shelf: Shelf) -> None:
    visitor.open(f"/stacks/harbin/{shelf.first.version}", "harbin:1")
    chain = visitor.page.locator(".chain > li")
    told = [one.inner_text() for one in chain.all()]
    assert told[0] == "25 sites run it now"
    assert told[1] == "Released and signed by operator:ann"
    assert [one.split()[0] for one in told[2:]] == ["harbin:1", "government:1", "qwen3:1"]
    data = visitor.page.locator('.chain a[href="/data/hotline/1"]')
    assert data.count() == 1
    sites = visitor.page.locator("#sites tbody th")
    assert len(sites.all()) == 20
    visitor.page.locator("#sites .pager a").click()
    visitor.page.wait_for_url("**sites=2**")
    visitor.settle()
    names = visitor.page.locator("#sites tbody th").all_inner_texts()
    assert names == [f"harbin-{place:02d}" for place in range(20, 25)]


def test_badges_follow_what_happens(visitor: Visitor, shelf: Shelf) -> None:
    made = shelf.scene.build("live", Level.L0)
    visitor.open(f"/stacks/live/{made.version}", "live:1")
    states = visitor.page.locator(".states")
    assert "not gated" in states.inner_text()
    assert "dizuo gate live:1" in visitor.page.locator("#gates").inner_text()
    shelf.scene.gate(made, latency())
    states.locator(".badge-good", has_text="passed").wait_for(timeout=30_000)
    shelf.scene.run(made, "live-1")
    states.locator("a", has_text="1 site").wait_for(timeout=30_000)


def test_versions_of_a_name_newest_first(visitor: Visitor, shelf: Shelf) -> None:
    visitor.open("/stacks/harbin", "harbin")
    rows = visitor.page.locator("tbody th").all_inner_texts()
    assert [row.split()[0] for row in rows] == [shelf.second.ref, shelf.first.ref]
    assert "newest" in rows[0]


@pytest.mark.parametrize("address", ["/stacks/nobody", "/stacks/nobody/1", "/stacks/harbin/99"])
@pytest.mark.usefixtures("shelf")
def test_what_is_not_there_says_so(visitor: Visitor, address: str) -> None:
    answer = visitor.page.goto(f"{visitor.url}{address}")
    assert answer is not None
    assert answer.status == 404
    assert "There is no" in visitor.page.locator("[role=alert]").inner_text()
    visitor.faults.clear()  # the browser itself notes the 404


@pytest.mark.parametrize("version", ["0", "x", "1.5"])
def test_no_version_is_no_page(visitor: Visitor, version: str) -> None:
    answer = visitor.page.goto(f"{visitor.url}/stacks/harbin/{version}")
    assert answer is not None
    assert answer.status == 404
    visitor.faults.clear()  # the browser itself notes the 404


@pytest.fixture
def session(place: Place) -> Iterator[httpx2.Client]:
    """A reader's session without a browser."""
    form = {"name": "rui", "password": PASSWORD}
    with httpx2.Client(base_url=place.url) as client:
        client.post("/login", data=form, headers={"Origin": place.url})
        yield client


def test_pictures_of_worst_rows_are_shown(visitor: Visitor, shelf: Shelf) -> None:
    visitor.open(f"/stacks/meter/{shelf.meter.version}", "meter:1")
    picture = visitor.page.locator(".examples img")
    picture.scroll_into_view_if_needed()
    visitor.page.wait_for_function(
        "() => { const one = document.querySelector('.examples img');"
        " return one.complete && one.naturalWidth === 48; }"
    )
    assert picture.get_attribute("alt") == "The picture of 0/a.png"


def test_a_picture_is_given_to_people_of_its_project_and_only_if_a_report_shows_it(
    shelf: Shelf, place: Place, session: httpx2.Client
) -> None:
    here = f"/stacks/meter/{shelf.meter.version}/rows"
    found = session.get(f"{here}/{shelf.shown_row}/image")
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    assert found.content == stacks_scene.digit(0)
    for address in (
        f"{here}/{shelf.other_row}/image",
        f"{here}/{shelf.shown_row}/label",
        f"{here}/{shelf.shown_row}/nothing",
        f"{here}/' OR 1=1/image",
        f"/stacks/meter/9/rows/{shelf.shown_row}/image",
        f"/stacks/NO/1/rows/{shelf.shown_row}/image",
        f"/stacks/harbin/2/rows/{shelf.shown_row}/image",
    ):
        assert session.get(address).status_code == 404, address
    stranger = httpx2.get(f"{place.url}{here}/{shelf.shown_row}/image")
    assert stranger.status_code == 404
    assert b"PNG" not in stranger.content


def test_another_projects_stacks_are_not_there(
    place: Place, browser: Chromium, shelf: Shelf
) -> None:
    foreign = StackScene(place.home, place.database, project_id="secret")
    base = foreign.build("hidden-base", Level.L0)
    suite, rows = foreign.dataset("hidden-test", [{"prompt": "hidden words", "label": "a"}])
    hidden = foreign.build("hidden-scenario", Level.L2, base)
    foreign.gate(hidden, score(f"secret/{suite}", 0.5, worst=(worst(rows[0], "a", "b", 0.5),)))
    foreign.run(shelf.first, "hidden-site")
    with visiting(browser, place.url) as visitor:
        visitor.sign_in("rui", PASSWORD)
        for address in (
            "/stacks",
            f"/stacks/harbin/{shelf.first.version}",
            "/stacks?search=hidden",
        ):
            visitor.open(address)
            assert "hidden-" not in visitor.page.content().replace("search=hidden", "")
        assert visitor.page.locator("#base option", has_text="hidden").count() == 0
        for address in ("/stacks/hidden-base", "/stacks/hidden-scenario/1"):
            answer = visitor.page.goto(f"{place.url}{address}")
            assert answer is not None
            assert answer.status == 404


def test_many_stacks_come_one_base_at_a_time(visitor: Visitor, place: Place, shelf: Shelf) -> None:
    assert shelf.meter
    stacks_scene.many(place.database, 600)
    visitor.open("/stacks", "Stacks")
    visitor.page.locator("h2", has_text="Lineage of l0-0000").wait_for()
    assert visitor.page.locator("#base").input_value() == "l0-0000"
    assert len(visitor.page.locator("tbody th").all()) == 24
    assert "1 to 24 of 250" in visitor.page.locator(".pager").first.inner_text()
    assert visitor.unfit() == []
    visitor.page.locator(".pager a[rel=next]").first.click()
    visitor.page.wait_for_url("**page=2**")
    visitor.settle()
    assert visitor.page.locator(".lineage .L0 .name").all_text_contents() == ["l0-0000:1"]
    visitor.open("/stacks?base=*&page=2")
    assert "25 to 48 of" in visitor.page.locator(".pager").first.inner_text()
    assert visitor.page.locator("#base").input_value() == "*"
    visitor.open("/stacks?search=l2-05")
    assert visitor.page.locator("#base").input_value() == "*"
    found = visitor.page.locator("tbody th").all_inner_texts()
    assert found
    assert all(name.startswith("l2-05") for name in found)
