"""What lists of the console share: searching, filtering and turning pages, all by address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from dizuo.console.markup import EMPTY, address, join, link, tag
from dizuo.console.messages import Words
from dizuo.console.telling import number

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a list one is: the page's path, what is asked for, and which part of it is shown."""

    path: str
    query: dict[str, str] = field(default_factory=dict)
    page: int = 1

    @property
    def offset(self) -> int:
        """How many rows lie before the page."""
        return (self.page - 1) * PAGE_SIZE

    @property
    def key(self) -> str:
        """What tells it from every other place."""
        return address(self.path, **self.query, page=self.page)

    def with_(self, **changes: str) -> str:
        """The address of the first page with another question."""
        return address(self.path, **{**self.query, **changes})

    def turned(self, page: int) -> str:
        """The address of another page of the same list."""
        return address(self.path, **self.query, page=page if page > 1 else None)


def search(words: Words, place: Place, label: str, name: str = "q") -> Markup:
    """A form that asks for a text and keeps the other parts of the question."""
    kept = [
        tag("input", type="hidden", name=key, value=value)
        for key, value in place.query.items()
        if key != name and value
    ]
    asked = tag(
        "input",
        type="search",
        id=f"search-{name}",
        name=name,
        value=place.query.get(name, ""),
        maxlength=100,
        autocomplete="off",
    )
    field_ = tag("div", tag("label", label, for_=f"search-{name}"), asked)
    button = tag("button", words("list.search"), class_="button")
    return tag("form", *kept, field_, button, class_="filters", action=place.path, role="search")


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter, what people call it, and how many rows it lets through."""

    value: str
    text: str
    num_rows: int


def choices(words: Words, place: Place, name: str, found: Iterable[Choice]) -> Markup:
    """Links that filter a list; the one that counts now is marked."""
    chosen = place.query.get(name, "")
    links = [
        link(
            join([one.text, " ", tag("span", number(one.num_rows), class_="count")]),
            place.with_(**{name: one.value}),
            aria_current="true" if one.value == chosen else None,
        )
        for one in found
    ]
    items = [tag("li", one) for one in links]
    return tag("nav", tag("ul", *items), class_="choices", aria_label=words("list.filter"))


def pager(words: Words, place: Place, num_rows: int, num_shown: int) -> Markup:
    """Which rows are shown, and the way to those before and after them."""
    if not num_shown or num_rows <= PAGE_SIZE:
        return EMPTY
    first = place.offset + 1
    last = place.offset + num_shown
    told = words("list.range", first=number(first), last=number(last), whole=number(num_rows))
    before = link(words("list.previous"), place.turned(place.page - 1)) if place.page > 1 else None
    after = link(words("list.next"), place.turned(place.page + 1)) if last < num_rows else None
    parts: Sequence[object] = [tag("span", told, class_="muted"), before, after]
    return tag(
        "nav", *(one for one in parts if one), class_="pager", aria_label=words("list.pages")
    )
