"""Datasets in a real browser: lists, rows, rejects, differences, and what others may not see."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx2
import pytest
from benchmarks.rig.browser import Chromium
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place
from tests.console.data.data_scene import add, pictures, ticket

from dizuo.console.data import version
from dizuo.console.messages import Language, Words
from dizuo.console.work import Standing
from dizuo.datasets.model import DatasetPin, Reject
from dizuo.datasets.table import read_page

LONG = "A long complaint. " * 60


@pytest.fixture(scope="module")
def digits(place: Place) -> DatasetPin:
    return pictures(place, "digits", 30)


@pytest.fixture(scope="module")
def tickets(place: Place) -> DatasetPin:
    first = [ticket(number) for number in range(40)]
    first.append({"prompt": LONG, "label": {"department": "<b>bold</b> & more"}})
    first.append({"prompt": "Is the lift repaired?", "label": {"department": "lifts"}})
    rejects = [Reject(f"line {n}", f"the line is not JSON <{n}>") for n in range(50, 180)]
    add(place, "tickets", "text", [*first, *rejects], holdout=0.2)
    changed = [ticket(0, "parks"), *(ticket(number) for number in range(100, 110))]
    return add(place, "tickets", "text", changed)


@pytest.fixture(scope="module")
def secret(place: Place) -> DatasetPin:
    return add(place, "secret-plans", "text", [ticket(1)], project="elsewhere")


def shoot(visitor: Visitor, name: str) -> None:
    """Where DIZUO_PICTURES names a folder, keep how the page looks."""
    folder = os.environ.get("CONSOLE_PICTURES")
    if folder:
        for width in (1440, 390):
            for scheme in ("light", "dark"):
                visitor.page.set_viewport_size({"width": width, "height": 900})
                visitor.page.emulate_media(color_scheme=scheme)
                visitor.picture(Path(folder) / f"{name}-{width}-{scheme}.png")
        visitor.page.emulate_media(color_scheme="light")
        visitor.page.set_viewport_size({"width": 1440, "height": 900})


def fits(visitor: Visitor, name: str) -> None:
    """No overflow at any width, nothing that axe-core finds, in light and dark."""
    shoot(visitor, name)
    assert visitor.overflow() == []
    assert visitor.unfit() == []
    visitor.page.emulate_media(color_scheme="dark")
    assert visitor.unfit() == []
    visitor.page.emulate_media(color_scheme="light")


def texts(visitor: Visitor, selector: str) -> list[str]:
    return visitor.page.locator(selector).all_inner_texts()


def test_datasets_are_listed_and_found(
    visitor: Visitor, digits: DatasetPin, tickets: DatasetPin
) -> None:
    visitor.open("/data", "Data")
    assert {"digits", "tickets", "tickets-test"} <= set(texts(visitor, "main th[scope=row]"))
    row = visitor.page.locator("tr", has_text="tickets@2")
    assert row.locator("a", has_text="20%").get_attribute("href") == "/data/tickets-test"
    fits(visitor, "data")
    visitor.page.locator("#q").fill("DIG")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/data?q=DIG")
    visitor.settle()
    assert texts(visitor, "main th[scope=row]") == ["digits"]
    assert visitor.page.locator("#q").input_value() == "DIG"
    visitor.open("/data?q=nothing%20at%20all", "Data")
    assert "nothing at all" in visitor.page.locator("main").inner_text()
    assert digits.version == 1


def test_a_new_dataset_comes_to_the_list_by_itself(visitor: Visitor, place: Place) -> None:
    visitor.open("/data?q=arrives", "Data")
    add(place, "arrives-late", "text", [ticket(1)])
    visitor.page.locator("th", has_text="arrives-late").wait_for()


def test_a_dataset_shows_its_versions_newest_first(visitor: Visitor, tickets: DatasetPin) -> None:
    visitor.open("/data/tickets", "tickets")
    assert texts(visitor, "main th[scope=row]") == [tickets.ref, "tickets@1"]
    assert "added to version 1" in visitor.page.locator("tr", has_text=tickets.ref).inner_text()
    fits(visitor, "dataset")
    visitor.page.locator("td a", has_text="130").click()
    visitor.page.wait_for_url("**/data/tickets/1/rejects")
    visitor.open("/data/tickets-test", "tickets-test")
    assert "Held out of" in visitor.page.locator("main").inner_text()


def test_pictures_are_a_gallery(visitor: Visitor, digits: DatasetPin) -> None:
    visitor.open("/data/digits/1", digits.ref)
    assert visitor.page.locator(".gallery li").count() == 24
    drawn = "Array.from(document.querySelectorAll('.gallery img')).every(i => i.naturalWidth > 0)"
    visitor.page.wait_for_function(drawn)
    fits(visitor, "gallery")
    visitor.page.locator(".pager a[rel=next]").click()
    visitor.page.wait_for_url("**/data/digits/1?page=2")
    visitor.settle()
    assert visitor.page.locator(".gallery li").count() == 6


def test_texts_are_read_searched_and_paged(visitor: Visitor, tickets: DatasetPin) -> None:
    visitor.open(f"/data/tickets/{tickets.version}", tickets.ref)
    assert texts(visitor, "main thead th") == ["prompt", "label", "From"]
    fits(visitor, "rows")
    visitor.page.locator("#q").fill("the lift")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("th", has_text="Is the lift repaired?").wait_for()
    assert "1 rows found" in visitor.page.locator("main").inner_text()
    visitor.open("/data/tickets/1?q=long%20complaint")
    body = visitor.page.locator("tbody")
    assert "<b>bold</b> & more" in body.inner_text()
    body.locator("summary").focus()
    visitor.page.keyboard.press("Enter")
    assert LONG.strip() in body.inner_text()
    fits(visitor, "long")


def test_conversations_are_read_as_such(visitor: Visitor, place: Place) -> None:
    asked = [{"role": "user", "content": "Is the lift repaired?"}]
    pin = add(place, "chats", "text", [{"prompt": asked, "label": "No."}])
    visitor.open("/data/chats/1", pin.ref)
    assert texts(visitor, ".message") == ["USER\nIs the lift repaired?"]


def test_rejects_are_paged_with_their_reasons(visitor: Visitor, tickets: DatasetPin) -> None:
    assert tickets.version == 2
    visitor.open("/data/tickets/1/rejects", "tickets@1")
    assert visitor.page.locator("tbody tr").count() == 100
    assert "the line is not JSON <50>" in visitor.page.locator("tbody tr").first.inner_text()
    fits(visitor, "rejects")
    visitor.page.locator(".pager a[rel=next]").click()
    visitor.page.locator("th", has_text="line 179").wait_for()
    visitor.open("/data/tickets/2/rejects", "tickets@2")
    assert "Nothing was turned down" in visitor.page.locator("main").inner_text()


def test_versions_are_compared(visitor: Visitor, tickets: DatasetPin) -> None:
    visitor.open("/data/tickets/2/diff", tickets.ref)
    visitor.page.locator(".figures").wait_for()
    figures = dict(
        zip(texts(visitor, ".figure .name"), texts(visitor, ".figure .value"), strict=True)
    )
    assert figures["With another label"] == "1"
    assert int(figures["Added"]) > 0
    assert figures["Removed"] == "0"
    assert "From tickets@1 to tickets@2" in visitor.page.locator("main").inner_text()
    fits(visitor, "diff")
    visitor.open("/data/tickets/2/diff?to=7")
    assert "no version 7" in visitor.page.locator("[role=alert]").inner_text()
    visitor.faults.clear()  # the browser itself notes the 404


def test_a_comparison_that_is_under_way_says_so_to_whoever_waits_for_it() -> None:
    under_way = version._standing(Words(Language.ENGLISH), Standing())
    assert 'role="status" aria-busy="true"' in under_way
    failed = version._standing(Words(Language.ENGLISH), Standing(has_ended=True))
    assert "aria-busy" not in failed


def test_pictures_of_rows_are_only_pictures(place: Place, digits: DatasetPin) -> None:
    cookie = signed_in(place, "rui")
    digest = read_page(digits, 0, 1)[0].row_digest
    there = f"{place.url}/data/digits/1"
    small = httpx2.get(f"{there}/small/{digest}?column=image", headers=cookie)
    assert (small.status_code, small.headers["content-type"]) == (200, "image/png")
    assert small.headers["cache-control"].startswith("private")
    assert httpx2.get(f"{there}/whole/{digest}?column=image", headers=cookie).content[1:4] == b"PNG"
    for address in (
        f"{there}/whole/{digest}?column=label",
        f"{there}/small/{digest}?column=label",
        f"{there}/small/{digest}?column=none",
        f"{there}/small/sha256:{'0' * 64}?column=image",
        f"{there}/small/'%20OR%20true?column=image",
        f"{place.url}/data/digits/9/small/{digest}?column=image",
        f"{place.url}/data/none/1/small/{digest}?column=image",
    ):
        assert httpx2.get(address, headers=cookie).status_code == 404, address
    stranger = httpx2.get(f"{there}/small/{digest}?column=image")
    assert stranger.status_code == 404


def test_another_projects_data_is_not_there(
    visitor: Visitor, place: Place, secret: DatasetPin
) -> None:
    visitor.open("/data", "Data")
    assert secret.name not in visitor.page.content()
    cookie = signed_in(place, "mei")
    digest = read_page(secret, 0, 1)[0].row_digest
    for end in ("", "/1", "/1/rejects", "/1/diff"):
        answer = httpx2.get(f"{place.url}/data/{secret.name}{end}", headers=cookie)
        assert answer.status_code == 404
        assert "Zhongshan" not in answer.text
    picture = f"{place.url}/data/{secret.name}/1/whole/{digest}?column=prompt"
    assert httpx2.get(picture, headers=cookie).status_code == 404


@pytest.mark.parametrize("address", ["/data/none", "/data/tickets/99", "/data/Bad%20Name/1"])
def test_what_is_not_there_is_said(visitor: Visitor, tickets: DatasetPin, address: str) -> None:
    assert tickets.version == 2
    visitor.open(address)
    assert "no" in visitor.page.locator("[role=alert]").inner_text()
    visitor.faults.clear()  # the browser itself notes the 404


def test_a_reader_is_offered_no_import(place: Place, browser: Chromium) -> None:
    with visiting(browser, place.url) as reader:
        reader.sign_in("rui", PASSWORD)
        reader.open("/data", "Data")
        assert reader.page.locator("a[href='/data/import']").count() == 0
        reader.open("/data/import")
        assert "needs the role builder" in reader.page.locator("[role=alert]").inner_text()


def test_everything_is_there_in_chinese(
    visitor: Visitor, tickets: DatasetPin, digits: DatasetPin
) -> None:
    visitor.open("/data", "Data")
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="数据").wait_for()
    try:
        for address in (
            "/data/tickets",
            "/data/tickets/2",
            "/data/tickets/1/rejects",
            "/data/tickets/2/diff",
            f"/data/{digits.name}/1",
            "/data/import",
            "/data",
        ):
            visitor.open(address)
            text = visitor.page.locator("main").inner_text()
            assert re.search("[一-鿿]", text), address
            assert visitor.overflow() == []
        visitor.open("/data/none")
        told = "没有数据集 'none'。用 `dizuo data ls` 查看现有数据集，或用 `dizuo data add` 添加。"
        assert visitor.page.locator("[role=alert]").inner_text() == told
        visitor.faults.clear()  # the browser itself notes the 404
        visitor.open(f"/data/{tickets.name}/2")
        shoot(visitor, "rows-zh")
    finally:
        visitor.page.locator(".foot button[name=language]").click()
        visitor.page.locator(".foot button[lang=zh-CN]").wait_for()


def signed_in(place: Place, name: str) -> dict[str, str]:
    """The headers of somebody who has signed in."""
    form = {"name": name, "password": PASSWORD}
    answer = httpx2.post(f"{place.url}/login", data=form, headers={"Origin": place.url})
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0], "Origin": place.url}
