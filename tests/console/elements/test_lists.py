"""Long lists: which page is shown, what leads on and back, and what an address keeps."""

from __future__ import annotations

import re

import pytest

from dizuo.console.elements.lists import (
    Choice,
    Chosen,
    Place,
    Typed,
    choices,
    log_pager,
    narrowing,
    pager,
    search,
)
from dizuo.console.elements.markup import EMPTY
from dizuo.console.messages import Language, Words

ENGLISH = Words(Language.ENGLISH)
CHINESE = Words(Language.CHINESE)


def links(markup: str) -> dict[str, str]:
    """Where each link leads, by its text."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>(.*?)</a>', markup)
    return {re.sub(r"<.*", "", text).strip(): href.replace("&amp;", "&") for href, text in found}


@pytest.mark.parametrize(
    ("asked", "page", "offset"),
    [(1, 1, 0), (3, 3, 20), (0, 1, 0), (-5, 1, 0), (10**30, 10**6, None)],
)
def test_a_page_that_there_cannot_be_is_one_that_can(
    asked: int, page: int, offset: int | None
) -> None:
    place = Place("/runs", asked, size=10)
    assert place.page == page
    assert place.offset == (offset if offset is not None else (page - 1) * 10)


def test_another_page_keeps_what_is_asked_and_where_the_list_stands() -> None:
    place = Place("/a", 2, {"q": "x y", "empty": ""}, turning="sites", anchor="sites")
    assert place.turned(3) == "/a?q=x+y&sites=3#sites"
    assert place.turned(1) == "/a?q=x+y#sites"
    assert place.key == "/a?q=x+y&sites=2#sites"
    assert place.with_(q="z") == "/a?q=z"


def test_a_place_is_whole_where_nothing_is_asked() -> None:
    assert Place("/a", 1, {"q": ""}).is_whole
    assert not Place("/a", 2).is_whole
    assert not Place("/a", 1, {"q": "x"}).is_whole


@pytest.mark.parametrize("num_items", [0, 1, 10])
def test_what_is_on_one_page_has_no_pager(num_items: int) -> None:
    assert pager(ENGLISH, Place("/a", size=10), num_items, "Sites") == EMPTY


@pytest.mark.parametrize(
    ("page", "told", "ways"),
    [
        (1, "1 to 10 of 25", {"Next page": "/a?q=x&page=2"}),
        (2, "11 to 20 of 25", {"Previous page": "/a?q=x", "Next page": "/a?q=x&page=3"}),
        (3, "21 to 25 of 25", {"Previous page": "/a?q=x&page=2"}),
        (9, "25 to 25 of 25", {"Previous page": "/a?q=x&page=3"}),
    ],
)
def test_a_pager_says_where_one_is_and_leads_on(page: int, told: str, ways: dict[str, str]) -> None:
    drawn = pager(ENGLISH, Place("/a", page, {"q": "x"}, 10), 25, "Sites")
    assert told in drawn
    assert links(drawn) == ways
    assert 'aria-label="Pages: Sites"' in drawn
    assert ('rel="prev"' in drawn, 'rel="next"' in drawn) == (page > 1, page < 3)


def test_a_pager_is_told_in_chinese() -> None:
    assert "第 1–10 项，共 1,025 项" in pager(CHINESE, Place("/a", size=10), 1025, "站点")


def test_a_list_that_grows_is_turned_by_where_its_entries_are() -> None:
    assert log_pager(ENGLISH, "Log") == EMPTY
    drawn = log_pager(ENGLISH, "Log", newest="/a", newer="/a?after=9", older="/a?before=3")
    assert links(drawn) == {"Newest": "/a", "Newer": "/a?after=9", "Older": "/a?before=3"}


def test_a_search_keeps_other_filters_and_its_text() -> None:
    drawn = search(ENGLISH, Place("/sites", 4, {"q": 'a"b', "state": "empty"}), "Name")
    assert 'name="q" value="a&#34;b"' in drawn
    assert '<input type="hidden" name="state" value="empty"/>' in drawn
    assert "page" not in drawn
    assert links(drawn) == {"Show all": "/sites?state=empty"}


def test_nothing_leads_back_where_nothing_is_asked() -> None:
    drawn = narrowing(
        ENGLISH, Place("/a"), Typed("q", "Name"), Chosen("kind", "Kind", [("", "Any")])
    )
    assert links(drawn) == {}


def test_fields_show_what_is_asked_and_offer_what_is_known() -> None:
    place = Place("/a", query={"site": "m<1", "kind": "odd"})
    options = [("", "Any"), ("tune", "Tune")]
    drawn = narrowing(
        ENGLISH, place, Typed("site", "Site", ["mine-1"]), Chosen("kind", "Kind", options)
    )
    assert 'value="m&lt;1"' in drawn
    assert '<datalist id="known-site"><option value="mine-1"></option></datalist>' in drawn
    assert '<option value="odd" selected>odd</option>' in drawn


def test_the_choice_that_counts_is_marked() -> None:
    place = Place("/a", 3, {"q": "x", "state": "done"})
    found = [Choice("", "All", 1200), Choice("done", "done", 7)]
    drawn = choices(ENGLISH, place, "state", found)
    assert links(drawn) == {"All": "/a?q=x", "done": "/a?q=x&state=done"}
    assert drawn.count('aria-current="true"') == 1
    assert "1,200" in drawn
