"""Long lists in pages: searched, filtered and turned by address, so that every part has its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, address, join, link, tag
from dizuo.console.elements.telling import number
from dizuo.console.messages import Words

PAGE_SIZE = 50
MAX_TYPED = 200
_MAX_PAGE = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a list one is. A page that there cannot be is the next one that there can.

    Args:
        path: the page's.
        page: which part of the list is shown, from 1.
        query: what else the address asks for, filters and other lists of the page included.
        size: how many items a page holds.
        turning: what the address calls the page of this list.
        anchor: where on its page the list stands, if not at the top.
    """

    path: str
    page: int = 1
    query: Mapping[str, object] = field(default_factory=dict)
    size: int = PAGE_SIZE
    turning: str = "page"
    anchor: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "page", min(max(1, self.page), _MAX_PAGE))

    @property
    def offset(self) -> int:
        """How many items come before this page."""
        return (self.page - 1) * self.size

    @property
    def key(self) -> str:
        """What tells it from every other place."""
        return self.turned(self.page)

    @property
    def is_whole(self) -> bool:
        """Whether this is the beginning of the whole list, with nothing asked for."""
        return self.page == 1 and not any(self.query.values())

    def asked(self, name: str) -> str:
        """What the address says under a name."""
        return str(self.query.get(name) or "")

    def with_(self, **changes: object) -> str:
        """The address of the first page with another question."""
        return address(self.path, **{**self.query, **changes})

    def turned(self, page: int) -> str:
        """The address of another page of the same list."""
        there = address(self.path, **self.query, **{self.turning: page if page > 1 else None})
        return f"{there}#{self.anchor}" if self.anchor else there


@dataclass(frozen=True, slots=True)
class Typed:
    """A field for a text that is looked for; `known` are offered, `example` stands in it while it
    is empty."""

    name: str
    label: str
    known: Sequence[str] = ()
    example: str | None = None

    def drawn(self, value: str) -> Markup:
        """The field with what was looked for."""
        offered = f"known-{self.name}"
        control = tag(
            "input",
            type="search",
            id=self.name,
            name=self.name,
            value=value,
            placeholder=self.example,
            maxlength=MAX_TYPED,
            autocomplete="off",
            list=offered if self.known else None,
        )
        options = [tag("option", value=one) for one in self.known]
        known = tag("datalist", *options, id=offered) if options else None
        return tag("div", tag("label", self.label, for_=self.name), control, known)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A field for one of several values, each with what people call it."""

    name: str
    label: str
    options: Sequence[tuple[str, str]]

    def drawn(self, value: str) -> Markup:
        """The field with what was chosen, also where that is in an address only."""
        strange = [] if value in dict(self.options) else [(value, value)]
        options = [
            tag("option", text, value=one, selected=one == value)
            for one, text in (*self.options, *strange)
        ]
        select = tag("select", *options, id=self.name, name=self.name)
        return tag("div", tag("label", self.label, for_=self.name), select)


def search(words: Words, place: Place, label: str, name: str = "q") -> Markup:
    """A form that asks for a text."""
    return narrowing(words, place, Typed(name, label))


def narrowing(words: Words, place: Place, *fields: Typed | Chosen) -> Markup:
    """A form that asks for some of a list. What else the address asks for stays; a link leads back
    to what there is without its fields."""
    names = {one.name for one in fields}
    kept = [
        tag("input", type="hidden", name=name, value=value)
        for name, value in place.query.items()
        if name not in names and value
    ]
    everything = (
        link(words("list.everything"), place.with_(**dict.fromkeys(names)), class_="reset")
        if any(place.asked(name) for name in names)
        else None
    )
    return tag(
        "form",
        *kept,
        *(one.drawn(place.asked(one.name)) for one in fields),
        tag("button", words("list.search"), class_="button"),
        everything,
        class_="filters",
        action=place.path,
        role="search",
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter, what people call it, and how many rows it lets through."""

    value: str
    text: str
    num_rows: int


def choices(words: Words, place: Place, name: str, found: Iterable[Choice]) -> Markup:
    """Links that filter a list; the one that counts now is marked."""
    chosen = place.asked(name)
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


def pager(words: Words, place: Place, num_items: int, name: str) -> Markup:
    """Which items are shown, and the ways on and back; nothing where all are on one page.

    Args:
        words: the reader's.
        place: where in the list one is.
        num_items: how many it has in all.
        name: of the list, for those who cannot see where it stands.
    """
    last_page = max(1, -(-num_items // place.size))
    if place.page == last_page == 1:
        return EMPTY
    last = min(place.offset + place.size, num_items)
    first = min(place.offset + 1, last)
    told = words("list.place", first=number(first), last=number(last), all=number(num_items))
    ways = [tag("span", told, class_="muted")]
    if place.page > 1:
        before = place.turned(min(place.page - 1, last_page))
        ways.insert(0, link(words("list.previous"), before, rel="prev"))
    if place.page < last_page:
        ways.append(link(words("list.next"), place.turned(place.page + 1), rel="next"))
    return _ways(words, ways, name)


def log_pager(
    words: Words, name: str, *, newest: str = "", newer: str = "", older: str = ""
) -> Markup:
    """Ways through a list that grows at its beginning, by address; empty ones are left out."""
    ways = [
        link(words("list.newest"), newest) if newest else None,
        link(words("list.newer"), newer, rel="prev") if newer else None,
        link(words("list.older"), older, rel="next") if older else None,
    ]
    return _ways(words, [way for way in ways if way is not None], name)


def _ways(words: Words, ways: Sequence[Markup], name: str) -> Markup:
    if not ways:
        return EMPTY
    return tag("nav", *ways, class_="pager", aria_label=words("list.pages", list=name))
