"""`/releases`: what is signed as fit to run, what could be, and each release on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.elements.buttons import Question, button, is_sure
from dizuo.console.elements.lists import PAGE_SIZE, Choice, Place, choices, pager, search
from dizuo.console.elements.markup import Column, address, facts, join, link, panel, table, tag
from dizuo.console.elements.places import stack_link
from dizuo.console.elements.telling import when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.releases import rollouts
from dizuo.console.sites.standing import release_state
from dizuo.core.clock import now_ms
from dizuo.core.digests import short
from dizuo.releases import finding, service
from dizuo.releases.finding import Candidate, ReleaseFilter
from dizuo.releases.model import Release, ReleaseState
from dizuo.sites import rollout_finding
from dizuo.sites.rollout_finding import Progress

_NUM_CANDIDATES = 20
_NUM_ROLLOUTS = 10
_SHOWN_STATES = (ReleaseState.SIGNED, ReleaseState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page shows: what could be released, one page of releases, how many there are in each
    state of those that fit the text, and the latest rollouts."""

    candidates: Sequence[Candidate]
    releases: Sequence[Release]
    states: Mapping[ReleaseState, int]
    rollouts: Sequence[Progress]


@console_page("/releases", "nav.releases", "releases")
async def releases(view: View, q: str = "", state: str = "", page: int = 1) -> None:
    """The list of releases."""
    words = view.words
    chosen = next((one for one in _SHOWN_STATES if one.value == state), None)
    query = {"q": q.strip(), "state": chosen.value if chosen else ""}
    place = Place("/releases", page, query)
    seen = await view.read(lambda session: _look(session, view.project_id, place, chosen))
    ui.html(tag("h1", words("nav.releases")), sanitize=False)
    _candidates(view, seen.candidates)
    filters = join(
        [
            search(words, place, words("releases.search")),
            choices(words, place, "state", _choices(words, seen.states)),
        ]
    )
    num_found = seen.states.get(chosen, 0) if chosen else sum(seen.states.values())
    parts = [filters, _table(words, place, seen.releases)]
    parts.append(pager(words, place, num_found, words("nav.releases")))
    ui.html(join(parts), sanitize=False).classes("rows")
    latest = ui.html("", sanitize=False).classes("rows")

    def look(session: Session) -> Sequence[Progress]:
        return rollout_finding.newest(session, project_id=view.project_id, limit=_NUM_ROLLOUTS)

    def show(found: Sequence[Progress]) -> None:
        latest.set_content(rollouts.latest(words, found))

    show(seen.rollouts)
    view.follow("latest rollouts", look, show)


def _look(session: Session, project_id: str, place: Place, state: ReleaseState | None) -> Seen:
    text = place.asked("q")
    wanted = ReleaseFilter(text, state, project_id)
    return Seen(
        finding.candidates(session, project_id=project_id, limit=_NUM_CANDIDATES),
        finding.find(session, wanted, limit=PAGE_SIZE, offset=place.offset),
        finding.count_states(session, ReleaseFilter(text, project_id=project_id)),
        rollout_finding.newest(session, project_id=project_id, limit=_NUM_ROLLOUTS),
    )


def _candidates(view: View, found: Sequence[Candidate]) -> None:
    words = view.words
    with ui.element("section").classes("panel"):
        ui.html(tag("h2", words("releases.candidates")), sanitize=False)
        if not found:
            told = tag("p", words("releases.no_candidates"), class_="muted")
            ui.html(told, sanitize=False)
            return
        with ui.element("div"):
            for one in found:
                _candidate(view, one)


def _candidate(view: View, one: Candidate) -> None:
    words = view.words
    with ui.element("div").classes("candidate"):
        level = tag("span", one.level, class_=f"level-{one.level}")
        passed = tag("span", when(words, one.passed_ms, now_ms()), class_="muted")
        told = (tag("div", part) for part in (stack_link(one.name, one.version), level, passed))
        ui.html(join(told), sanitize=False).classes("buttons")
        if view.may(Role.RELEASER):
            label = words("releases.release_one", stack=one.stack)
            act = view.doing(lambda: _release(view, one))
            button(words("releases.release"), act, label=label)


async def _release(view: View, one: Candidate) -> None:
    words, repository = view.words, view.parts.repository
    title = words("releases.release_title", stack=one.stack)
    if not await is_sure(
        view, Question(title, words("releases.release_means"), words("releases.release"))
    ):
        return

    def release(session: Session, caller: Principal) -> Release:
        return service.release_named(session, repository, f"{one.name}@{one.digest}", caller)

    made = await view.act(Role.RELEASER, release)
    ui.navigate.to(f"/releases/{made.id}")


def _choices(words: Words, states: Mapping[ReleaseState, int]) -> list[Choice]:
    found = [
        Choice(one.value, words(f"release_state.{one.value}"), states.get(one, 0))
        for one in _SHOWN_STATES
    ]
    return [Choice("", words("list.all"), sum(states.values())), *found]


def _table(words: Words, place: Place, found: Sequence[Release]) -> Markup:
    if not found:
        key = "releases.none" if place.is_whole else "list.none"
        return tag("p", words(key), class_="muted")
    names = ("stack", "state", "digest", "level", "signed", "actor")
    columns = [Column(words(f"column.{name}")) for name in names]
    rows = (
        (
            link(one.stack, f"/releases/{one.id}"),
            release_state(words, one.state),
            tag("span", short(one.digest), class_="mono"),
            tag("span", one.level, class_=f"level-{one.level}"),
            when(words, one.created_ms, now_ms()),
            one.actor,
        )
        for one in found
    )
    return tag("section", table(columns, rows, words("releases.table")), class_="panel")


@console_page("/releases/{release_id}", "nav.releases", "releases")
async def one_release(view: View, release_id: str) -> None:
    """One release, with what can be done with it and its rollouts."""
    words = view.words

    def read(session: Session) -> tuple[Release, Sequence[Progress]]:
        found = service.get(session, release_id, project_id=view.project_id)
        return found, rollout_finding.newest(
            session, project_id=view.project_id, release_id=found.id, limit=PAGE_SIZE
        )

    found, its_rollouts = await view.read(read)
    with ui.element("div").classes("head"):
        ui.html(tag("h1", words("releases.heading", stack=found.stack)), sanitize=False)
        if view.may(Role.RELEASER) and found.state is ReleaseState.SIGNED:
            with ui.element("div").classes("buttons"):
                start = address("/releases/rollouts/new", release=found.id)
                ui.html(link(words("rollouts.new"), start, class_="button primary"), sanitize=False)
                withdraw = view.doing(lambda: _withdraw(view, found))
                button(words("releases.withdraw"), withdraw, "danger")
    ui.html(tag("section", _facts(words, found), class_="panel"), sanitize=False)
    title = words("releases.its_rollouts")
    listed = panel(title, rollouts.listed(words, its_rollouts, title))
    ui.html(listed, sanitize=False)


async def _withdraw(view: View, found: Release) -> None:
    words, repository = view.words, view.parts.repository
    question = Question(
        words("releases.withdraw_title", stack=found.stack),
        words("releases.withdraw_means"),
        words("releases.withdraw"),
        is_dangerous=True,
    )
    if not await is_sure(view, question):
        return

    def withdraw(session: Session, caller: Principal) -> Release:
        return service.withdraw(
            session, repository, found.id, caller.actor, project_id=caller.project_id
        )

    await view.act(Role.RELEASER, withdraw)
    ui.navigate.to(f"/releases/{found.id}")


def _facts(words: Words, of: Release) -> Markup:
    now = now_ms()
    rows: list[tuple[object, object]] = [
        (words("column.stack"), stack_link(of.name, of.version)),
        (words("column.state"), release_state(words, of.state)),
        (words("column.digest"), tag("span", of.digest, class_="mono")),
        (words("column.family"), f"{of.level} · {of.family}"),
        (words("releases.forms"), ", ".join(of.targets)),
        (words("column.signed"), when(words, of.created_ms, now)),
        (words("releases.by"), of.actor),
    ]
    if of.withdrawn_ms is not None:
        rows.append((words("releases.withdrawn_when"), when(words, of.withdrawn_ms, now)))
    return facts(rows)
