"""`/releases/rollouts`: releases on their way to sites, watched, stopped and taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.elements.buttons import Question, button, is_sure
from dizuo.console.elements.lists import PAGE_SIZE, Choice, Place, choices, pager, search
from dizuo.console.elements.markup import Column, facts, join, link, panel, table, tag
from dizuo.console.elements.places import stack_link
from dizuo.console.elements.telling import number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.sites.standing import ROLLOUT_TONES, reason, rollout_state
from dizuo.core.clock import now_ms
from dizuo.sites import rollout_finding as finding
from dizuo.sites import rollouts as service
from dizuo.sites.rollout_finding import EntryFilter, Progress
from dizuo.sites.rollout_model import ROLLOUT_MACHINE, Entry, EntryState, Rollout

_PATH = "/releases/rollouts"
_COLUMNS = ("stack", "served_as", "state", "sites_done", "started", "actor")


def listed(words: Words, found: Sequence[Progress], title: str) -> Markup:
    """A table of rollouts, each leading to its page."""
    if not found:
        return tag("p", words("rollouts.none"), class_="muted")
    columns = [Column(words(f"column.{name}"), name == "sites_done") for name in _COLUMNS]
    rows = (
        (
            link(one.rollout.stack, f"{_PATH}/{one.rollout.id}"),
            one.rollout.direction.served_as,
            rollout_state(words, one.rollout.state),
            words("word.part_of", part=number(one.num_done), whole=number(one.num_sites)),
            when(words, one.rollout.created_ms, now_ms()),
            one.rollout.actor,
        )
        for one in found
    )
    return table(columns, rows, title)


def latest(words: Words, found: Sequence[Progress]) -> Markup:
    """The newest rollouts, with the way to all of them."""
    title = words("rollouts.latest")
    way = tag("p", link(words("rollouts.all"), _PATH)) if found else None
    return panel(title, listed(words, found, title), *([way] if way else []))


@console_page(_PATH, "rollouts.title", "releases")
async def all_rollouts(view: View, page: int = 1) -> None:
    """Every rollout of the project, newest first."""
    words, place = view.words, Place(_PATH, page)
    ui.html(tag("h1", words("rollouts.title")), sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")

    def look(session: Session) -> tuple[Sequence[Progress], int]:
        project_id = view.project_id
        found = finding.newest(session, project_id=project_id, limit=PAGE_SIZE, offset=place.offset)
        return found, finding.count(session, project_id=project_id)

    def show(seen: tuple[Sequence[Progress], int]) -> None:
        found, num_rollouts = seen
        rows = tag("section", listed(words, found, words("rollouts.table")), class_="panel")
        shown.set_content(join([rows, pager(words, place, num_rollouts, words("rollouts.title"))]))

    show(await view.read(look))
    view.follow(place.key, look, show)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rollout's page follows: how far it is, and one page of its sites."""

    progress: Progress
    entries: Sequence[Entry]
    num_found: int


@console_page(_PATH + "/{rollout_id}", "rollouts.title", "releases")
async def one_rollout(
    view: View, rollout_id: str, q: str = "", state: str = "", page: int = 1
) -> None:
    """One rollout, as it goes on."""
    words = view.words
    chosen = next((one for one in EntryState if one.value == state), None)
    query = {"q": q.strip(), "state": chosen.value if chosen else ""}
    place = Place(f"{_PATH}/{rollout_id}", page, query)
    wanted = EntryFilter(query["q"], chosen)

    def look(session: Session) -> Seen:
        return _look(session, view.project_id, rollout_id, wanted, place.offset)

    seen = await view.read(look)
    buttons = _head(view, seen.progress.rollout)
    summary = ui.html("", sanitize=False).classes("rows")
    ui.html(
        join([tag("h2", words("rollouts.sites")), search(words, place, words("sites.search"))]),
        sanitize=False,
    ).classes("rows")
    shown = ui.html("", sanitize=False).classes("rows")

    def show(now: Seen) -> None:
        summary.set_content(_summary(words, now.progress))
        shown.set_content(_sites(words, place, now))
        for name, one in buttons.items():
            one.set_visibility(_allows(now.progress.rollout, name))

    show(seen)
    view.follow(place.key, look, show)


def _look(
    session: Session, project_id: str, rollout_id: str, wanted: EntryFilter, offset: int
) -> Seen:
    progress = finding.show(session, rollout_id, project_id=project_id)
    rollout = progress.rollout
    return Seen(
        progress,
        finding.entries(session, rollout, wanted, limit=PAGE_SIZE, offset=offset),
        finding.count_entries(session, rollout, wanted),
    )


def _head(view: View, rollout: Rollout) -> dict[str, ui.button]:
    """The heading, and the buttons of the transitions that a person may cause."""
    words = view.words
    with ui.element("div").classes("head"):
        heading = words("rollouts.heading", stack=rollout.stack)
        ui.html(tag("h1", heading), sanitize=False)
        if not view.may(Role.RELEASER):
            return {}
        with ui.element("div").classes("buttons"):
            return {
                "stop": _button(view, rollout.id, "stop", service.stop),
                "roll_back": _button(view, rollout.id, "roll_back", service.rollback),
            }


def _button(view: View, rollout_id: str, name: str, change: Callable[..., Rollout]) -> ui.button:
    words = view.words
    past = {"stop": "stopped", "roll_back": "rolled_back"}[name]
    question = Question(
        words(f"rollouts.{name}_title"),
        words(f"rollouts.{name}_means"),
        words(f"rollouts.{name}"),
        is_dangerous=True,
    )

    async def act() -> None:
        if not await is_sure(view, question):
            return

        def changing(session: Session, caller: Principal) -> Rollout:
            return change(session, rollout_id, caller.actor, project_id=caller.project_id)

        await view.act(Role.RELEASER, changing)
        view.done(words(f"rollouts.{past}"))

    return button(words(f"rollouts.{name}"), view.doing(act), "danger")


def _allows(rollout: Rollout, name: str) -> bool:
    """Whether a rollout's state has this transition."""
    return any(
        rule.name == name and rollout.state in rule.sources for rule in ROLLOUT_MACHINE.rules
    )


def _summary(words: Words, of: Progress) -> Markup:
    rollout = of.rollout
    done = words("rollouts.done_of", done=number(of.num_done), whole=number(of.num_sites))
    rows: list[tuple[object, object]] = [
        (words("column.state"), rollout_state(words, rollout.state)),
        (words("column.stack"), stack_link(rollout.direction.name, rollout.direction.version)),
        (words("column.served_as"), rollout.direction.served_as),
        (
            words("column.released"),
            link(rollout.stack, f"/releases/{rollout.release_id}"),
        ),
        (words("rollouts.began"), when(words, rollout.created_ms, now_ms())),
        (words("column.actor"), rollout.actor),
    ]
    if rollout.reason:
        rows.insert(1, (words("rollouts.because"), reason(words, rollout.reason)))
    return tag("section", tag("p", done), _bar(words, of), facts(rows), class_="panel")


def _bar(words: Words, of: Progress) -> Markup:
    """How many sites are how far, as lengths."""
    order = (EntryState.DONE, EntryState.FAILED, EntryState.PROGRESSING)
    states = [*order, *(one for one in EntryState if one not in order)]
    parts = [
        tag(
            "span",
            class_=ROLLOUT_TONES[one.value],
            style=f"width: {100 * of.states[one] / of.num_sites:.2f}%",
            title=f"{words(f'rollout_state.{one.value}')}: {of.states[one]}",
        )
        for one in states
        if of.states.get(one)
    ]
    return tag("div", *parts, class_="progress", aria_hidden="true")


def _sites(words: Words, place: Place, seen: Seen) -> Markup:
    states = seen.progress.states
    found = [
        Choice(one.value, words(f"rollout_state.{one.value}"), states[one])
        for one in EntryState
        if states.get(one)
    ]
    every = Choice("", words("list.all"), seen.progress.num_sites)
    return join(
        [
            choices(words, place, "state", [every, *found]),
            tag("section", _entries(words, seen.entries), class_="panel"),
            pager(words, place, seen.num_found, words("rollouts.sites")),
        ]
    )


def _entries(words: Words, entries: Sequence[Entry]) -> Markup:
    if not entries:
        return tag("p", words("list.none"), class_="muted")
    names = ("site", "state", "generation", "changed", "reason")
    columns = [Column(words(f"column.{name}"), name == "generation") for name in names]
    rows = (
        (
            link(one.site_name, f"/sites/{one.site_name}", class_="nowrap"),
            rollout_state(words, one.state),
            one.generation,
            when(words, one.updated_ms, now_ms()),
            reason(words, one.reason),
        )
        for one in entries
    )
    return table(columns, rows, words("rollouts.sites"))
