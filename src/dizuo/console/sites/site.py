"""`/sites/{name}`: one site: what it runs, how it fares, what it has let out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.audit import store as audit
from dizuo.audit.model import AuditEntry
from dizuo.console.elements.buttons import Question, button, is_sure
from dizuo.console.elements.lists import log_pager
from dizuo.console.elements.markup import (
    EMPTY,
    Column,
    address,
    facts,
    join,
    link,
    panel,
    table,
    tag,
)
from dizuo.console.elements.telling import num_bytes, number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words, catalogue
from dizuo.console.review.drawing import reason_of
from dizuo.console.sites.histories import HistoryBoard, histories
from dizuo.console.sites.standing import Freshness, directions, fault, freshness, site_state
from dizuo.core.clock import now_ms
from dizuo.core.numbers import WholeNumber
from dizuo.datasets import returned
from dizuo.datasets.returned import Hour, Returned
from dizuo.edge.wire import Direction
from dizuo.sites import hours, service
from dizuo.sites.model import Site

_NUM_ROWS = 20
_HISTORY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Histories:
    """All that a site has let out, how many samples wait there, and its last hours, oldest first:
    its answers, the samples that came in from it, and those that it took aside."""

    site: Site
    returned: Returned
    answers: Sequence[int | None]
    received: Sequence[Hour]
    taken: Sequence[Hour]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page follows closely."""

    site: Site
    fresh: Freshness


@dataclass(frozen=True, slots=True)
class Written:
    """What was written about a site, newest first; one more than is shown, if there is more."""

    directions: Sequence[Mapping[str, Any]]
    entries: Sequence[AuditEntry]


@console_page("/sites/{name}", "nav.sites", "sites")
async def site(view: View, name: str, generation: WholeNumber = 0, entry: WholeNumber = 0) -> None:
    """One site. Its directions and its audit entries are shown from before the given ones."""
    ui.page_title(f"{name} · dizuo")

    def look(session: Session) -> Seen:
        return _look(session, view, name)

    def read(session: Session) -> Written:
        return _read(session, view.project_id, name, generation or None, entry or None)

    seen, written = await view.read(look), await view.read(read)
    with ui.element("div").classes("head"):
        ui.html(tag("h1", name), sanitize=False)
        if view.may(Role.ADMIN):
            button(view.words("site.remove"), view.doing(lambda: _remove(view, name)), "danger")
    shown = ui.html("", sanitize=False).classes("rows")

    let_out = ui.html("", sanitize=False).classes("rows")
    board = HistoryBoard(view.words)

    def look_back(session: Session) -> Histories:
        return _look_back(session, view.project_id, name)

    def show(now: Seen) -> None:
        shown.set_content(_page(view.words, now))

    def show_back(now: Histories) -> None:
        let_out.set_content(_past(view.words, now))
        board.show(histories(view.words, now.answers, now.received, now.taken))

    show(seen)
    show_back(await view.read(look_back))
    here = _Here(f"/sites/{name}", generation, entry)
    ui.html(_written(view.words, here, written), sanitize=False).classes("rows")
    view.follow(f"site {name}", look, show)
    view.follow(f"site {name}, back", look_back, show_back, seconds=_HISTORY_SECONDS)


async def _remove(view: View, name: str) -> None:
    words = view.words
    question = Question(
        words("site.remove_title", name=name),
        words("site.remove_means"),
        words("site.remove"),
        is_dangerous=True,
    )
    if not await is_sure(view, question):
        return

    def remove(session: Session, caller: Principal) -> Site:
        return service.remove(session, name, caller.actor, project_id=caller.project_id)

    await view.act(Role.ADMIN, remove)
    ui.navigate.to("/sites")


def _look(session: Session, view: View, name: str) -> Seen:
    found = service.show(session, name, project_id=view.project_id)
    fresh = Freshness.of(found, view.parts.poll_seconds, now_ms())
    return Seen(_settled(found), fresh)


def _settled(site: Site) -> Site:
    """Without what changes at every check-in and is not shown here."""
    return replace(site, last_seen_ms=0, told_generation=0)


def _look_back(session: Session, project_id: str, name: str) -> Histories:
    now = now_ms()
    found = service.show(session, name, project_id=project_id)
    num = hours.KEPT_HOURS
    return Histories(
        _settled(found),
        returned.total(session, name, project_id=project_id),
        hours.answers(session, found, now),
        returned.received_by_hour(session, name, now_ms=now, num_hours=num, project_id=project_id),
        returned.taken_by_hour(session, name, now_ms=now, num_hours=num, project_id=project_id),
    )


def _read(
    session: Session, project_id: str, name: str, generation: int | None, entry: int | None
) -> Written:
    more = _NUM_ROWS + 1
    made = service.directions(session, name, before=generation, limit=more, project_id=project_id)
    entries = audit.about(session, project_id, f"site:{name}", before=entry, limit=more)
    return Written(made, entries)


def _page(words: Words, seen: Seen) -> Markup:
    of = seen.site
    trouble = EMPTY
    if of.error:
        told = join([fault(words, of.error), " ", when(words, of.error.at_ms, now_ms())])
        trouble = tag("p", told, class_="notice bad")
    panels = [_running(words, seen), _about(words, of)]
    return join([trouble, tag("div", *panels, class_="grid even pairs")])


def _past(words: Words, of: Histories) -> Markup:
    return join([_egress(words, of.site, of.returned), tag("h2", words("site.histories"))])


def _running(words: Words, seen: Seen) -> Markup:
    of = seen.site
    rows = [
        (words("column.state"), site_state(words, of.state)),
        (words("column.seen"), freshness(words, seen.fresh)),
        (words("site.running"), _set(words, of.running.generation, of.running.stacks)),
        (words("site.desired"), _set(words, of.desired.generation, of.desired.stacks)),
        (words("site.answers"), number(of.answers)),
    ]
    return panel(words("site.now"), facts(rows))


def _set(words: Words, generation: int, stacks: Sequence[Direction]) -> Markup:
    told = tag("span", words("site.generation", number=generation), class_="muted")
    return join([directions(words, stacks), told])


def _about(words: Words, of: Site) -> Markup:
    url = tag("span", of.inference_url, class_="mono") if of.inference_url else EMPTY
    rows = [
        (words("site.url"), url or words("site.no_url")),
        (words("column.first_install"), num_bytes(of.bytes_first_install)),
        (words("column.last_update"), num_bytes(of.bytes_last_update)),
        (words("site.agent"), of.agent_version or "–"),
        (words("site.joined"), when(words, of.joined_ms, now_ms())),
    ]
    return panel(words("site.about"), facts(rows))


def _egress(words: Words, of: Site, out: Returned) -> Markup:
    key = f"site.policy_{of.egress_policy}"
    by_reason = [
        f"{reason_of(words, reason)}: {number(out.by_reason[reason])}"
        for reason in returned.REASONS
        if reason in out.by_reason
    ]
    last = words("site.let_out_none") if out.last_ms is None else when(words, out.last_ms, now_ms())
    numbers = join([number(out.num_samples), *(tag("div", one) for one in by_reason)])
    rows = [
        (words("site.policy"), words(key) if key in catalogue() else of.egress_policy),
        (words("site.let_out"), numbers),
        (words("site.let_out_last"), last),
        (words("site.waiting"), number(of.samples_waiting)),
    ]
    note = tag("p", words("site.let_out_log"), class_="muted")
    return panel(words("site.egress"), facts(rows), note)


@dataclass(frozen=True, slots=True)
class _Here:
    """The page's path, and before which generation and entry its tables begin."""

    path: str
    generation: int
    entry: int

    def turned(self, **changes: int) -> str:
        return address(self.path, **{"generation": self.generation, "entry": self.entry, **changes})


def _written(words: Words, here: _Here, written: Written) -> Markup:
    made, entries = written.directions[:_NUM_ROWS], written.entries[:_NUM_ROWS]
    older_made = len(written.directions) > _NUM_ROWS
    older_entries = len(written.entries) > _NUM_ROWS
    turn_made = log_pager(
        words,
        words("site.directions"),
        newest=here.turned(generation=0) if here.generation else "",
        older=here.turned(generation=made[-1]["generation"]) if older_made else "",
    )
    turn_entries = log_pager(
        words,
        words("site.audit"),
        newest=here.turned(entry=0) if here.entry else "",
        older=here.turned(entry=entries[-1].sequence) if older_entries else "",
    )
    return join([_directions(words, made, turn_made), _entries(words, entries, turn_entries)])


def _directions(words: Words, made: Sequence[Mapping[str, Any]], turn: Markup) -> Markup:
    title = words("site.directions")
    if not made:
        return panel(title, tag("p", words("site.no_directions"), class_="muted"), turn)
    names = ("generation", "stacks", "cause", "at")
    columns = [Column(words(f"column.{name}")) for name in names]
    rows = (
        (
            one["generation"],
            directions(words, map(Direction.model_validate, one["stacks"])),
            _cause(words, one["cause"]),
            when(words, one["created_ms"], now_ms()),
        )
        for one in made
    )
    return panel(title, table(columns, rows, title), turn)


def _cause(words: Words, cause: str) -> object:
    """Rollouts direct sites, and take back what they directed: `rollout:<id>[:<how>]`."""
    kind, _, rest = cause.partition(":")
    rollout_id, _, how = rest.partition(":")
    if kind != "rollout":
        return cause
    name = {"": "rollout", "stop": "stop", "roll_back": "roll_back"}[how]
    return link(words(f"site.cause_{name}"), f"/releases/rollouts/{rollout_id}")


def _entries(words: Words, entries: Sequence[AuditEntry], turn: Markup) -> Markup:
    title = words("site.audit")
    if not entries:
        return panel(title, tag("p", words("site.no_audit"), class_="muted"), turn)
    columns = [Column(words(f"column.{name}")) for name in ("at", "action", "actor", "subject")]
    rows = (
        (
            when(words, one.at_ms, now_ms()),
            tag("span", one.action, class_="mono"),
            one.actor,
            one.subject,
        )
        for one in entries
    )
    return panel(title, table(columns, rows, title), turn)
