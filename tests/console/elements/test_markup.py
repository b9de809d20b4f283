"""Markup: nothing that is put in becomes markup unless it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from dizuo.console.elements.charts import sparkline
from dizuo.console.elements.markup import (
    Column,
    address,
    badge,
    facts,
    figure,
    join,
    link,
    panel,
    table,
    tag,
)

HOSTILE = '<script>alert("1")</script>&\'"'


@given(st.text())
def test_text_is_escaped_wherever_it_stands(around: str) -> None:
    text = f"{around}<script>{around}"
    for made in (
        tag("p", text),
        tag("p", title=text),
        link(text, text),
        badge(text),
        panel(text, text),
        facts([(text, text)]),
        table([Column(text)], [[text]], text),
        join([text, text], text),
    ):
        assert "<script" not in made
        assert "&lt;script&gt;" in made


def test_elements_are_written_as_they_are_meant() -> None:
    made = tag("a", "x & y", tag("b", HOSTILE), class_="one", aria_label="z", hidden=True, id=None)
    assert made == (
        '<a class="one" aria-label="z" hidden>x &amp; y<b>'
        "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;&amp;&#39;&#34;</b></a>"
    )
    assert tag("input", name="name", value=HOSTILE).count("<") == 1
    assert join(["a", None, Markup("<i>b</i>")], ", ") == "a, <i>b</i>"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "/a"),
        ({"q": "", "page": None, "before": 0, "on": False}, "/a"),
        ({"q": "x & 中", "page": 2}, "/a?q=x+%26+%E4%B8%AD&page=2"),
    ],
)
def test_an_address_says_only_what_is_asked(query: dict[str, object], found: str) -> None:
    assert address("/a", **query) == found


def test_a_figure_has_its_name_before_it() -> None:
    assert figure("Sites", tag("b", 7), "below") == (
        '<div class="figure"><p class="name">Sites</p><p class="value"><b>7</b></p>below</div>'
    )


def test_a_table_names_its_rows_and_scrolls_by_itself() -> None:
    made = table([Column("site"), Column("bytes", is_number=True)], [("one", 7)], "Sites")
    assert '<th scope="row">one</th><td class="number">7</td>' in made
    assert '<caption class="unseen">Sites</caption>' in made
    assert 'tabindex="0" role="region" aria-label="Sites"' in made


@pytest.mark.parametrize(
    ("values", "commands"),
    [
        ([1, 2, 3], "M0.0 26.0 L80.0 14.0 L160.0 2.0"),
        ([1, None, 3], "M0.0 26.0 M160.0 2.0"),
        ([5, 5], "M0.0 14.0 L160.0 14.0"),
    ],
)
def test_a_history_is_drawn_from_left_to_right_and_broken_where_nothing_is_known(
    values: list[float | None], commands: str
) -> None:
    assert f'd="{commands}"' in sparkline(values, "Sites")


@pytest.mark.parametrize("values", [[], [1.0], [None, None], [None, 2.0]])
def test_a_history_of_less_than_two_values_is_not_drawn(values: list[float | None]) -> None:
    assert sparkline(values, "Sites") == ""
