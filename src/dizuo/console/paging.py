"""Long lists in pages: each page has an address of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from dizuo.console.markup import EMPTY, link, tag
from dizuo.console.messages import Words
from dizuo.console.telling import number


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a list: its number, from 1, and how many items a page holds."""

    number: int
    size: int

    @classmethod
    def of(cls, asked: int, size: int) -> Paging:
        """The page that an address asks for; the first one where it asks for none there can be."""
        return cls(min(max(1, asked), 1_000_000), size)

    @property
    def offset(self) -> int:
        """How many items come before this page."""
        return (self.number - 1) * self.size


def pager(
    words: Words, paging: Paging, num_items: int, to: Callable[[int], str], name: str
) -> Markup:
    """Where in a list one is, and the ways on and back; nothing where all is on one page.

    Args:
        words: the reader's.
        paging: the page that is shown.
        num_items: how many the list has in all.
        to: the address of a page, by its number.
        name: of the list, for those who cannot see where it stands.
    """
    if num_items <= paging.size and paging.number == 1:
        return EMPTY
    last = min(paging.offset + paging.size, num_items)
    first = min(paging.offset + 1, last)
    place = words("paging.place", first=number(first), last=number(last), all=number(num_items))
    back = link(words("paging.back"), to(paging.number - 1), rel="prev")
    on = link(words("paging.on"), to(paging.number + 1), rel="next")
    return tag(
        "nav",
        back if paging.number > 1 else EMPTY,
        tag("span", place, class_="muted"),
        on if last < num_items else EMPTY,
        class_="pager",
        aria_label=words("paging.pages", list=name),
    )
