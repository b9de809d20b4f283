"""`/approvals`: what waits for a person, what is under way, what was decided, and the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.approvals.deciding import Deciding
from dizuo.console.approvals.evidence import Evidence, evidence_of
from dizuo.console.approvals.improvement_links import start_button
from dizuo.console.approvals.progressing import named, place_of, state_badge
from dizuo.console.approvals.weighing import evidence, who
from dizuo.console.elements.buttons import Question, is_sure
from dizuo.console.elements.lists import Place, log_pager, pager
from dizuo.console.elements.markup import EMPTY, Column, badge, join, link, panel, table, tag
from dizuo.console.elements.places import improvement_address
from dizuo.console.elements.telling import when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.sentences import spoken
from dizuo.core.clock import now_ms
from dizuo.core.numbers import WholeNumber
from dizuo.improvements import finding
from dizuo.improvements import policy as policies
from dizuo.improvements.finding import DecisionPage
from dizuo.improvements.model import Improvement, Policy, State

_PATH = "/approvals"
_NUM_CARDS = 5
_NUM_ROWS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """Which parts of the page's lists somebody looks at: pages from 1, and a place in the log."""

    waiting: int
    under_way: int
    ended: int
    before: int

    def place(self, part: str, size: int) -> Place:
        """Where in one of the lists somebody is; the others stay where they are."""
        said = {"waiting": self.waiting, "under_way": self.under_way, "ended": self.ended}
        others = {name: page for name, page in said.items() if page > 1 and name != part}
        query = {**others, "before": self.before}
        return Place(_PATH, said.get(part, 1), query, size, turning=part)

    @property
    def waiting_place(self) -> Place:
        """Where in the list of what waits."""
        return self.place("waiting", _NUM_CARDS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page shows."""

    policy: Policy
    counts: Mapping[State, int]
    waiting: Sequence[Evidence]
    under_way: Sequence[Improvement]
    ended: Sequence[Improvement]
    decided: DecisionPage


@console_page(_PATH, "nav.approvals", "approvals")
async def approvals(
    view: View, waiting: int = 1, under_way: int = 1, ended: int = 1, before: WholeNumber = 0
) -> None:
    """What waits comes first, with its evidence and the buttons."""
    asked = Asked(max(1, waiting), max(1, under_way), max(1, ended), max(0, before))
    title = tag("h1", view.words("nav.approvals"))
    ui.html(tag("div", title, start_button(view), class_="head"), sanitize=False)
    page = _Page(view, asked)

    def look(session: Session) -> Seen:
        return _look(session, view, asked)

    page.show(await view.read(look))
    view.follow(f"approvals {asked}", look, page.show)


def _look(session: Session, view: View, asked: Asked) -> Seen:
    project = view.project_id

    def part(states: frozenset[State], place: Place) -> list[Improvement]:
        return finding.page(session, project, states, limit=place.size, offset=place.offset)

    waiting = part(frozenset({State.AWAITING_APPROVAL}), asked.waiting_place)
    return Seen(
        policy=view.parts.improver.policy(session, project),
        counts=finding.counts(session, project),
        waiting=[evidence_of(session, one) for one in waiting],
        under_way=part(finding.UNDER_WAY, asked.place("under_way", _NUM_ROWS)),
        ended=part(finding.ENDED, asked.place("ended", _NUM_ROWS)),
        decided=finding.decided(session, project, before=asked.before, limit=_NUM_ROWS),
    )


class _Page:
    """The drawn page. Cards are drawn anew only when one of them has changed."""

    def __init__(self, view: View, asked: Asked) -> None:
        self._view, self._asked = view, asked
        self._deciding = Deciding(view)
        self._policy = _PolicySwitch(view)
        self._cards = ui.element("div").classes("rows")
        self._lists = ui.html("", sanitize=False).classes("rows")
        self._shown: object = None

    def show(self, seen: Seen) -> None:
        """Draw what was seen."""
        self._policy.show(seen.policy)
        cards = (seen.waiting, seen.counts.get(State.AWAITING_APPROVAL, 0))
        if self._shown != cards:
            self._shown = cards
            self._cards.clear()
            with self._cards:
                self._draw_cards(seen)
        self._lists.set_content(_lists(self._view.words, self._asked, seen))

    def _draw_cards(self, seen: Seen) -> None:
        words = self._view.words
        if not seen.waiting:
            nothing = tag("p", words("approvals.none_waiting"), class_="muted")
            ui.html(panel(words("approvals.waiting"), nothing), sanitize=False)
        for one in seen.waiting:
            self._draw_card(one)
        number = seen.counts.get(State.AWAITING_APPROVAL, 0)
        if more := pager(words, self._asked.waiting_place, number, words("approvals.waiting")):
            ui.html(more, sanitize=False)

    def _draw_card(self, one: Evidence) -> None:
        words, improvement = self._view.words, one.improvement
        with ui.element("section").classes("panel weighed"):
            ui.html(_card_head(words, improvement), sanitize=False)
            ui.html(evidence(words, one), sanitize=False).classes("evidence")
            with ui.element("div").classes("buttons"):
                self._deciding.buttons(improvement)


def _card_head(words: Words, improvement: Improvement) -> Markup:
    title = tag("h2", link(improvement.stack, improvement_address(improvement.id)))
    since = when(words, improvement.updated_ms, now_ms())
    before, between, after = words("approvals.asked", actor="\0", since="\0").split("\0")
    asked = tag("p", before, who(improvement.actor), between, since, after, class_="muted")
    return tag("div", title, asked, class_="head")


def _lists(words: Words, asked: Asked, seen: Seen) -> Markup:
    return join(
        [_under_way(words, asked, seen), _decided(words, asked, seen), _ended(words, asked, seen)]
    )


def _under_way(words: Words, asked: Asked, seen: Seen) -> Markup:
    title = words("approvals.under_way")
    if not seen.under_way:
        return panel(title, tag("p", words("approvals.none_under_way"), class_="muted"))
    names = ("improvement", "state", "step", "why", "actor", "changed")
    columns = [Column(words(f"column.{name}")) for name in names]
    rows = [
        (
            named(one),
            state_badge(words, one.state),
            place_of(words, one),
            spoken(words, one.reason),
            who(one.actor),
            when(words, one.updated_ms, now_ms()),
        )
        for one in seen.under_way
    ]
    number = sum(count for state, count in seen.counts.items() if state in finding.UNDER_WAY)
    more = pager(words, asked.place("under_way", _NUM_ROWS), number, title)
    return panel(title, table(columns, rows, title), more)


def _decided(words: Words, asked: Asked, seen: Seen) -> Markup:
    title = words("approvals.decided")
    found = seen.decided
    if not found.decisions:
        return panel(title, tag("p", words("approvals.none_decided"), class_="muted"))
    names = ("improvement", "decision", "actor", "at", "why", "now")
    columns = [Column(words(f"column.{name}")) for name in names]
    rows = [
        (
            named(one.improvement),
            _decision(words, one.approved),
            who(one.entry.actor),
            when(words, one.entry.at_ms, now_ms()),
            spoken(words, str(one.entry.detail.get("reason", ""))),
            state_badge(words, one.improvement.state),
        )
        for one in found.decisions
    ]
    here, oldest = asked.place("before", _NUM_ROWS), found.decisions[-1].entry.sequence
    more = log_pager(
        words,
        title,
        newest=here.with_(before=None) if asked.before else "",
        older=here.with_(before=oldest) if found.has_older else "",
    )
    return panel(title, table(columns, rows, title), more)


def _decision(words: Words, approved: bool) -> Markup:
    if approved:
        return badge(words("approvals.was_approved"), "good")
    return badge(words("approvals.was_rejected"))


def _ended(words: Words, asked: Asked, seen: Seen) -> Markup:
    title = words("approvals.ended")
    if not seen.ended:
        return EMPTY
    names = ("improvement", "state", "why", "actor", "changed")
    columns = [Column(words(f"column.{name}")) for name in names]
    rows = [
        (
            named(one),
            state_badge(words, one.state),
            spoken(words, one.reason),
            who(one.actor),
            when(words, one.updated_ms, now_ms()),
        )
        for one in seen.ended
    ]
    number = sum(count for state, count in seen.counts.items() if state in finding.ENDED)
    more = pager(words, asked.place("ended", _NUM_ROWS), number, title)
    return panel(title, table(columns, rows, title), more)


class _PolicySwitch:
    """Whether the loop needs a person: a sentence for all, and a switch for admins."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: Policy | None = None
        self._switch: ui.switch | None = None
        with ui.element("section").classes("panel policy"):
            self._said = ui.html("", sanitize=False)
            if view.may(Role.ADMIN):
                self._switch = ui.switch(
                    view.words("policy.on"), on_change=view.doing(self._change)
                )

    def show(self, policy: Policy) -> None:
        """Say what counts now."""
        words = self._view.words
        self._known = policy
        said = words("policy.asks") if policy.require_approval else words("policy.asks_not")
        by = (
            words("policy.said_by", actor=who(policy.actor))
            if policy.actor
            else words("policy.default")
        )
        title = tag("h2", words("policy.title"))
        self._said.set_content(join([title, tag("p", said), tag("p", by, class_="muted")]))
        if self._switch is not None:
            self._switch.value = policy.require_approval

    async def _change(self) -> None:
        """Ask, and say it for the project; the switch goes back where somebody thinks better."""
        known, switch, words = self._known, self._switch, self._view.words
        if known is None or switch is None or switch.value == known.require_approval:
            return
        wanted = not known.require_approval
        try:
            if await is_sure(self._view, _policy_question(words, wanted)):
                self.show(await self._set(wanted))
                self._view.done(words("policy.done"))
        finally:
            switch.value = self._known.require_approval if self._known else wanted

    async def _set(self, wanted: bool) -> Policy:
        def change(session: Session, caller: Principal) -> Policy:
            return policies.set_policy(
                session, caller.project_id, caller.actor, require_approval=wanted
            )

        return await self._view.act(Role.ADMIN, change)


def _policy_question(words: Words, wanted: bool) -> Question:
    if wanted:
        return Question(words("policy.on_title"), words("policy.on_means"), words("policy.on"))
    return Question(
        words("policy.off_title"), words("policy.off_means"), words("policy.off"), is_dangerous=True
    )
