"""`/stacks`: which stacks there are and what each stands on; `/stacks/NAME`: its versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.artifacts.model import Level
from dizuo.console.elements.lists import Chosen, Place, Typed, narrowing, pager
from dizuo.console.elements.markup import EMPTY, Column, badge, join, link, panel, table, tag
from dizuo.console.elements.places import stack_link
from dizuo.console.elements.telling import num_bytes, number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.stacks.lineage import drawn
from dizuo.console.stacks.states import States, gates_badge, level_word, release_badge, states_of
from dizuo.core.clock import now_ms
from dizuo.stacks import browsing
from dizuo.stacks.browsing import Branch, StackCard, StackFilter
from dizuo.stacks.errors import StackNotFound

_PER_PAGE = 24
_MAX_BASES = 200
_ALL = "*"
"""As a base: those of all of them, also where there are many."""
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. An empty `base` leaves the choice to the page."""

    search: str
    level: str
    family: str
    base: str
    page: int

    @property
    def is_narrowed(self) -> bool:
        """Whether it asks for some stacks only, wherever they stand."""
        return bool(self.search or self.level or self.family)

    @property
    def place(self) -> Place:
        """Where in the list that is."""
        query = {"search": self.search, "base": self.base}
        query |= {"level": self.level, "family": self.family}
        return Place("/stacks", self.page, query, _PER_PAGE)


@dataclass(frozen=True, slots=True)
class Seen:
    """One page of stacks. `base` is whose tree it is, empty for those of all."""

    base: str
    bases: tuple[str, ...]
    families: tuple[str, ...]
    num_all: int
    num_found: int
    branches: tuple[Branch, ...]
    states: States
    newest: Mapping[str, int]


@console_page("/stacks", "nav.stacks", "stacks")
async def stacks(
    view: View,
    *,
    search: str = "",
    level: str = "",
    family: str = "",
    base: str = "",
    page: int = 1,
) -> None:
    """The lineage as a picture and as a table, one base at a time where there are many stacks."""
    asked = Asked(search.replace("\0", "").strip()[:100], level, family, base, page)
    look = partial(_look, view.project_id, asked)
    seen = await view.read(look)
    ui.html(tag("h1", view.words("nav.stacks")), sanitize=False)
    if not seen.num_all:
        ui.html(_nothing(view.words), sanitize=False)
        return
    ui.html(_filters(view.words, asked, seen), sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")

    on_page: list[Seen] = []

    def show(found: Seen) -> None:
        if on_page != [found]:  # what is there already is not sent again
            on_page[:] = [found]
            shown.set_content(_content(view.words, asked, found))

    show(seen)
    view.follow(f"stacks:{asked!r}", look, show, seconds=_SECONDS)


def _look(project_id: str, asked: Asked, session: Session) -> Seen:
    everything = StackFilter(project_id=project_id)
    bases = browsing.bases(session, limit=_MAX_BASES, project_id=project_id)
    num_all = browsing.count_names(session, everything)
    base = asked.base
    if not base and not asked.is_narrowed and num_all > _PER_PAGE and bases:
        base = bases[0]
    if base == _ALL:
        base = ""
    wanted = StackFilter(asked.search, asked.level, asked.family, base, project_id)
    found = browsing.branches(session, wanted, limit=_PER_PAGE, offset=asked.place.offset)
    cards = {card.digest: card for one in found for card in (one.top, *one.below)}
    names = {card.name for card in cards.values()}
    return Seen(
        base=base,
        bases=tuple(bases),
        families=tuple(browsing.families(session, project_id=project_id)),
        num_all=num_all,
        num_found=browsing.count_names(session, wanted),
        branches=tuple(found),
        states=states_of(session, project_id, list(cards)),
        newest=browsing.newest_versions(session, names, project_id=project_id),
    )


def _nothing(words: Words) -> Markup:
    command = tag("pre", tag("code", "dizuo model import hf://Qwen/Qwen3-0.6B --name qwen3"))
    return tag("section", tag("p", words("stacks.none")), command, class_="panel")


def _filters(words: Words, asked: Asked, seen: Seen) -> Markup:
    """Search and filters as a form, so that what it asks for is an address."""
    levels = [(one.value, words(f"level.{one}")) for one in Level]
    families = [(one, one) for one in seen.families]
    bases = [(one, one) for one in dict.fromkeys((*seen.bases, seen.base)) if one]
    place = asked.place
    return narrowing(
        words,
        replace(place, query={**place.query, "base": seen.base or _ALL}),
        Typed("search", words("data.search")),
        Chosen("base", words("stacks.base"), [(_ALL, words("stacks.all_bases")), *bases]),
        Chosen("level", words("column.level"), [("", words("stacks.all_levels")), *levels]),
        Chosen("family", words("column.family"), [("", words("stacks.all_families")), *families]),
    )


def _content(words: Words, asked: Asked, seen: Seen) -> Markup:
    if not seen.branches:
        return panel(words("stacks.graph"), tag("p", words("stacks.no_match"), class_="muted"))
    return join([_graph(words, asked, seen), _table(words, asked, seen)])


def _graph(words: Words, asked: Asked, seen: Seen) -> Markup:
    title = words("stacks.graph_of", base=seen.base) if seen.base else words("stacks.graph")
    below = link(words("stacks.to_table"), "#table")
    hint = tag("p", words("stacks.graph_hint"), " ", below, class_="muted linked")
    graph = drawn(words, seen.branches, seen.states, seen.newest)
    return panel(title, hint, graph, pager(words, asked.place, seen.num_found, title))


def _table(words: Words, asked: Asked, seen: Seen) -> Markup:
    title = words("stacks.table")
    count = words("stacks.count", found=number(seen.num_found), all=number(seen.num_all))
    rows = [_row(words, one, seen.states) for one in seen.branches]
    pages = pager(words, asked.place, seen.num_found, title)
    counted = tag("p", count, class_="muted")
    whole = table(_columns(words), rows, title)
    return tag("section", tag("h2", title), counted, whole, pages, class_="panel", id="table")


def _columns(words: Words) -> list[Column]:
    names = ("stack", "level", "family", "parent", "sites", "released", "gates", "adds", "whole")
    numbers = ("sites", "adds", "whole")
    found = [Column(words(f"column.{name}"), name in numbers) for name in names]
    return [*found, Column(words("column.made"))]


def _row(words: Words, one: Branch, states: States) -> tuple[object, ...]:
    card = one.top
    parent = stack_link(one.below[0].name, one.below[0].version) if one.below else "–"
    return (
        stack_link(card.name, card.version),
        level_word(words, card.level),
        card.family,
        parent,
        number(states.sites_of(card.digest)),
        release_badge(words, card.released_ms),
        gates_badge(words, states, card.digest),
        num_bytes(card.bytes_added),
        num_bytes(card.bytes_total),
        when(words, card.created_ms, now_ms()),
    )


@dataclass(frozen=True, slots=True)
class Versions:
    """One page of the versions of a name, newest first."""

    num_versions: int
    cards: tuple[StackCard, ...]
    states: States


@console_page("/stacks/{name}", "nav.stacks", "stacks")
async def versions(view: View, name: str, page: int = 1) -> None:
    """Every version of one name."""
    place = Place(f"/stacks/{name}", page, size=_PER_PAGE)
    found = await view.read(partial(_look_at_versions, view.project_id, name, place))
    words = view.words
    ui.page_title(f"{name} · dizuo")
    trail = tag("p", link(words("nav.stacks"), "/stacks"), " / ", name, class_="trail muted")
    count = words("stacks.num_versions", count=number(found.num_versions))
    rows = [
        _version_row(words, card, found.states, is_newest=place.page == 1 and index == 0)
        for index, card in enumerate(found.cards)
    ]
    names = ("stack", "level", "sites", "released", "gates", "adds", "whole", "made", "run")
    numbers = ("sites", "adds", "whole")
    columns = [Column(words(f"column.{one}"), one in numbers) for one in names]
    pages = pager(words, place, found.num_versions, name)
    head = join([trail, tag("h1", name)])
    listed = panel(
        words("stacks.versions"),
        tag("p", count, class_="muted"),
        table(columns, rows, words("stacks.versions")),
        pages,
    )
    ui.html(join([head, listed]), sanitize=False).classes("rows")


def _look_at_versions(project_id: str, name: str, place: Place, session: Session) -> Versions:
    num_versions = browsing.count_versions(session, name, project_id=project_id)
    if not num_versions:
        raise StackNotFound(f"There is no stack {name[:80]!r}.")
    cards = browsing.versions(
        session, name, limit=place.size, offset=place.offset, project_id=project_id
    )
    states = states_of(session, project_id, [card.digest for card in cards])
    return Versions(num_versions, tuple(cards), states)


def _version_row(
    words: Words, card: StackCard, states: States, *, is_newest: bool
) -> tuple[object, ...]:
    newest = join([" ", badge(words("stacks.newest"), "busy")]) if is_newest else EMPTY
    return (
        join([stack_link(card.name, card.version), newest]),
        level_word(words, card.level),
        number(states.sites_of(card.digest)),
        release_badge(words, card.released_ms),
        gates_badge(words, states, card.digest),
        num_bytes(card.bytes_added),
        num_bytes(card.bytes_total),
        when(words, card.created_ms, now_ms()),
        link(words("stacks.run"), f"/runs/{card.run_id}"),
    )
