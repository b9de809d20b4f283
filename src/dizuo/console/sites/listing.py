"""`/sites`: every site, searched, filtered and paged by the database, as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console.elements.lists import PAGE_SIZE, Choice, Place, choices, pager, search
from dizuo.console.elements.markup import EMPTY, Column, join, link, table, tag
from dizuo.console.elements.telling import num_bytes, number
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.sites.standing import (
    SITE_TONES,
    Freshness,
    directions,
    fault,
    freshness,
    site_state,
)
from dizuo.core.clock import now_ms
from dizuo.sites import finding, service
from dizuo.sites.finding import SiteFilter
from dizuo.sites.model import Site, SiteCounts

_OFFLINE = "offline"
_COLUMNS = (
    "site",
    "state",
    "seen",
    "last_error",
    "runs",
    ">generation",
    ">last_update",
    ">samples_waiting",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page shows: one page of sites with their freshness, how many fit the question, and
    all of the project's in figures."""

    sites: Sequence[tuple[Site, Freshness]]
    num_found: int
    counts: SiteCounts


@console_page("/sites", "nav.sites", "sites")
async def sites(view: View, q: str = "", state: str = "", page: int = 1) -> None:
    """The list of sites; `state` is a site's own word, or `offline`."""
    words = view.words
    place = Place("/sites", page, {"q": q.strip(), "state": state})
    title = tag("h1", words("nav.sites"))
    join_link = link(words("sites.let_join"), "/join", class_="button primary")
    head = [title, join_link if view.may(Role.ADMIN) else None]
    ui.html(tag("div", *head, class_="head"), sanitize=False)
    ui.html(search(words, place, words("sites.search")), sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")

    def look(session: Session) -> Seen:
        return _look(session, view, place)

    def show(seen: Seen) -> None:
        shown.set_content(_page(view, place, seen))

    show(await view.read(look))
    view.follow(place.key, look, show)


def _look(session: Session, view: View, place: Place) -> Seen:
    now = now_ms()
    since = service.online_since_ms(view.parts.poll_seconds, now)
    state = place.asked("state")
    wanted = SiteFilter(
        text=place.asked("q"),
        state="" if state == _OFFLINE else state,
        seen_before_ms=since if state == _OFFLINE else None,
        project_id=view.project_id,
    )
    found = finding.find(session, wanted, limit=PAGE_SIZE, offset=place.offset)
    return Seen(
        [(_settled(one), Freshness.of(one, view.parts.poll_seconds, now)) for one in found],
        finding.count(session, wanted),
        service.counts(session, since, project_id=view.project_id),
    )


def _settled(site: Site) -> Site:
    """Without what changes at every check-in and is not shown here."""
    return replace(site, last_seen_ms=0, answers=0, told_generation=0)


def _page(view: View, place: Place, seen: Seen) -> Markup:
    words = view.words
    if not seen.counts.num_sites:
        said = [words("sites.none"), None if view.may(Role.ADMIN) else words("sites.none_ask")]
        return tag("p", join((one for one in said if one), " "), class_="notice")
    return join(
        [
            choices(words, place, "state", _choices(words, seen.counts)),
            tag("section", _table(words, seen.sites), class_="panel"),
            pager(words, place, seen.num_found, words("nav.sites")),
        ]
    )


def _choices(words: Words, counts: SiteCounts) -> list[Choice]:
    states = [
        Choice(state, words(f"site_state.{state}"), counts.by_state.get(state, 0))
        for state in SITE_TONES
    ]
    num_offline = counts.num_sites - counts.num_online
    return [
        Choice("", words("list.all"), counts.num_sites),
        *states,
        Choice(_OFFLINE, words("site_state.offline"), num_offline),
    ]


def _table(words: Words, found: Sequence[tuple[Site, Freshness]]) -> Markup:
    if not found:
        return tag("p", words("list.none"), class_="muted")
    columns = [
        Column(words(f"column.{name.removeprefix('>')}"), is_number=name.startswith(">"))
        for name in _COLUMNS
    ]
    return table(columns, (_row(words, *one) for one in found), words("sites.table"))


def _row(words: Words, site: Site, fresh: Freshness) -> Sequence[object]:
    error = EMPTY
    if site.error:
        told = fault(words, site.error)
        error = tag("span", told, class_="truncate", title=told)
    return (
        link(site.name, f"/sites/{site.name}", class_="nowrap"),
        site_state(words, site.state),
        freshness(words, fresh),
        error,
        directions(words, site.running.stacks),
        generation(site),
        num_bytes(site.bytes_last_update),
        number(site.samples_waiting),
    )


def generation(site: Site) -> object:
    """The generation that runs and, where it is another one, the one that is wanted."""
    running, desired = site.running.generation, site.desired.generation
    if running == desired:
        return running
    return tag("span", f"{running} → {desired}", class_="nowrap")
