"""From one part of a long list to the next: links, so that every part has an address."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dizuo.console.markup import EMPTY, address, link, tag
from dizuo.console.messages import Words


def num_pages(num_items: int, per_page: int) -> int:
    """How many pages a list has; one if it is empty."""
    return max(1, -(-num_items // per_page))


def pages(words: Words, path: str, name: str, page: int, whole: int, **query: object) -> Markup:
    """Links to the page before and the page after; nothing where there is one page.

    Args:
        words: whose language.
        path: the address.
        name: which part of its query says the page.
        page: the present one, from 1.
        whole: how many there are.
        query: what else the address says.
    """
    if whole <= 1:
        return EMPTY
    ways = []
    if page > 1:
        before = {**query, name: page - 1 if page > 2 else None}
        ways.append(link(words("paging.before"), address(path, **before), rel="prev"))
    ways.append(tag("span", words("paging.of", page=page, whole=whole), class_="muted"))
    if page < whole:
        after = {**query, name: page + 1}
        ways.append(link(words("paging.after"), address(path, **after), rel="next"))
    return pager(words, ways)


def pager(words: Words, ways: Sequence[Markup]) -> Markup:
    """Links that lead through a list; nothing where there are none."""
    if not ways:
        return EMPTY
    return tag("nav", *ways, class_="pager", aria_label=words("paging.name"))
