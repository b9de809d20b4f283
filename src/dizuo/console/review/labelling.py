"""`/review/label`: one sample at a time, judged by keyboard alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from dizuo.access.model import Principal, Role
from dizuo.console.elements.markup import address, link, tag
from dizuo.console.frame import View, console_page
from dizuo.console.review import jsonform
from dizuo.console.review.asked import Asked, asked_of
from dizuo.console.review.desk import Before, Desk, desk_of, stopped_of
from dizuo.console.review.drawing import short
from dizuo.console.review.entries import LABEL, Asking, Entry, entry_for, read_entry, turned
from dizuo.console.sentences import error_sentence
from dizuo.core.errors import Conflict, InvalidInput
from dizuo.datasets import desk, opinions, samples
from dizuo.datasets.desk import Held, Look, Reviewer
from dizuo.datasets.errors import ClaimLost, SampleDamaged
from dizuo.datasets.model import Sample
from dizuo.datasets.samples import MACHINE, SampleFilter

_RENEW_SECONDS = 60.0
_SETTLE = "settle"
_NUM_LAID_ASIDE = 100


@console_page("/review/label", "desk.title", "review")
async def labelling(
    view: View, site: str = "", stack: str = "", reason: str = "", work: str = ""
) -> None:
    """The desk. `work=settle` is for samples about which two reviewers disagree."""
    role = Role.RELEASER if work == _SETTLE else Role.BUILDER
    view.person.principal.require(role)
    wanted = SampleFilter(site=site, served_as=stack, reason=reason, project_id=view.project_id)
    ui.add_head_html('<script src="/console/static/desk.js" defer></script>')
    title = view.words("desk.settle_title" if work == _SETTLE else "desk.title")
    back = link(view.words("desk.back"), address("/review", site=site, stack=stack, reason=reason))
    ui.html(tag("div", tag("h1", title), back, class_="head"), sanitize=False)
    told = ui.html("", sanitize=False).props('role="status"').classes("told")
    place = Place(view, role, wanted, told, ui.html("", sanitize=False))
    await place.go_on()
    ui.on("desk", view.doing(place.hear))
    ui.timer(_RENEW_SECONDS, view.doing(place.renew))
    view.client.on_delete(place.leave)


@dataclass
class Place:
    """One page of one reviewer."""

    view: View
    role: Role
    wanted: SampleFilter
    told: ui.html
    shown: ui.html
    before: Before | None = None
    entry: Entry = field(default_factory=lambda: Entry({}))
    num_done: int = 0
    num_waiting: int = 0
    num_drawn: int = 0
    is_stopped: bool = False
    known: dict[tuple[str, str], Asked] = field(default_factory=dict)
    laid_aside: dict[str, Entry] = field(default_factory=dict)
    """What was typed for samples that are not on the page now, by their ids."""

    @property
    def _desk(self) -> Desk:
        return Desk(
            self.before,
            self.entry,
            is_settling=self.role is Role.RELEASER,
            num_done=self.num_done,
            num_waiting=self.num_waiting,
            num_drawn=self.num_drawn,
        )

    @property
    def looks(self) -> Sequence[Look]:
        """What this page is for."""
        return (Look.THIRD,) if self.role is Role.RELEASER else desk.LABELLING

    def reviewer(self, principal: Principal) -> Reviewer:
        """This person at the desk."""
        share = self.view.parts.second_share
        return Reviewer(principal.actor, principal.project_id, share)

    async def go_on(self) -> bool:
        """Show the next sample. Returns whether that is the one on the page already; what was typed
        for it stays."""
        shown = self.before
        following = await self._seen(await self.view.act(self.role, self._next))
        if shown is None or following is None or shown.held.sample.id != following.held.sample.id:
            self.put(following)
            return False
        self.before, self.is_stopped = following, False
        self.draw()
        return True

    def _next(self, session: Session, principal: Principal) -> Held | None:
        return desk.take(session, self.wanted, self.reviewer(principal), looks=self.looks)

    async def _seen(self, held: Held | None) -> Before | None:
        """A sample with all that goes with it, and how many wait. That is read once the sample is
        claimed, as the whole hub waits for a transaction that writes."""
        return await self.view.read(lambda session: self._look(session, held))

    def _look(self, session: Session, held: Held | None) -> Before | None:
        self._count(session)
        if held is None:
            return None
        try:
            row = samples.read_row(self.view.parts.home, held.sample.digest)
        except SampleDamaged:
            row = None
        return Before(held, row, self._asked(session, held.sample))

    def _asked(self, session: Session, sample: Sample) -> Asked:
        """What a stack is asked for stays so; what the hub could not tell is looked up again."""
        stack = sample.stack_digest, sample.family
        if stack in self.known:
            return self.known[stack]
        asked = asked_of(session, sample)
        if asked != Asked():
            self.known[stack] = asked
        return asked

    def _count(self, session: Session) -> None:
        if self.role is Role.RELEASER:
            self.num_waiting = opinions.num_open(session, self.view.project_id)
            return
        wanted = replace(self.wanted, state=MACHINE.initial)
        self.num_waiting = sum(samples.count(session, wanted).values())

    def put(self, before: Before | None, said: Any = None) -> None:
        """Let a sample be what the page shows. `said` stands in the fields, or else what was typed
        there for it before, or else the model's answer."""
        self._lay_aside()
        self.before, self.is_stopped = before, False
        if before is not None:
            typed = self.laid_aside.pop(before.held.sample.id, None)
            answer = said if said is not None else _to_begin_with(before.held)
            self.entry = typed if typed and said is None else entry_for(before.asked, answer)
        self.draw()

    def _lay_aside(self) -> None:
        """Keep what was typed for the sample on the page, in case it comes back."""
        if self.before is None:
            return
        begun = entry_for(self.before.asked, _to_begin_with(self.before.held))
        if self.entry.given == begun.given:
            return
        self.laid_aside[self.before.held.sample.id] = self.entry
        if len(self.laid_aside) > _NUM_LAID_ASIDE:
            del self.laid_aside[next(iter(self.laid_aside))]

    def draw(self) -> None:
        """Draw what there is."""
        self.num_drawn += 1
        self.shown.set_content(desk_of(self.view.words, self._desk))

    async def hear(self, event: GenericEventArguments) -> None:
        """Do what a key or a button of the page asks for, if it is about what is shown now. The
        page takes no more keys until it is drawn anew, so it is, whatever comes of this one."""
        asked, drawn = Asking.of(event.args), self.num_drawn
        if asked is not None and asked.drawn != str(drawn):
            return
        try:
            if asked is not None:
                await self._do(asked)
        finally:
            if self.num_drawn == drawn:
                self.draw()

    async def _do(self, asked: Asking) -> None:
        if self.before is not None:
            given = jsonform.typed_over(self.entry.given, asked.given)
            self.entry = replace(self.entry, given=given, faults={}, focus=None)
        act = self._act_for(asked.what)
        if act is None:
            return
        try:
            await act(asked)
        except ClaimLost:
            self._stop()
        except Conflict as error:  # judged elsewhere meanwhile
            self.tell(error_sentence(self.view.words, error))
            await self.go_on()

    def _act_for(self, what: str) -> Callable[[Asking], Awaitable[None]] | None:
        acts: dict[str, Callable[[Asking], Awaitable[None]]] = {
            "save": self._save,
            "skip": self._skip,
            "unusable": self._unusable,
            "undo": self._undo,
            "raw": self._raw,
            "add": self._add,
            "remove": self._remove,
            "take": self._take,
        }
        if self.before is None:
            return acts["undo"] if what == "undo" else None
        if self.is_stopped and what in acts:
            return acts["take"] if what == "take" else self._still_stopped
        return acts.get(what)

    async def _still_stopped(self, _asked: Asking) -> None:
        self._stop()

    def _stop(self) -> None:
        """What the page shows is before this person here no longer. Nothing is taken instead until
        they ask for it, as they may be at work on another page."""
        self.is_stopped = True
        self.told.set_content(stopped_of(self.view.words, self._desk))

    async def _take(self, _asked: Asking) -> None:
        if await self.go_on():
            key = "desk.here_again"
        else:
            key = "desk.lost" if self.before is not None else "desk.lost_last"
        self.tell(self.view.words(key))

    def tell(self, sentence: str) -> None:
        """Say what came of the last key."""
        self.told.set_content(tag("p", sentence))

    async def _save(self, _asked: Asking) -> None:
        label, faults = read_entry(self.entry)
        if faults:
            self.entry = replace(self.entry, faults=faults)
            return
        await self._decide(label, self.view.words("desk.saved", label=short(label)))

    async def _unusable(self, _asked: Asking) -> None:
        await self._decide(None, self.view.words("desk.marked_unusable"))

    async def _decide(self, label: Any, sentence: str) -> None:
        assert self.before is not None
        home, token = self.view.parts.home, self.before.held.token

        def deciding(session: Session, principal: Principal) -> Held | None:
            desk.decide(session, home, token, label)
            session.flush()
            return self._next(session, principal)

        try:
            held = await self.view.act(self.role, deciding)
        except InvalidInput as error:
            place = LABEL if self.entry.form is None else ""
            told = {"fault": error_sentence(self.view.words, error)}
            self.entry = replace(self.entry, faults={place: ("form.refused", told)})
            return
        following = await self._seen(held)
        self.num_done += 1
        self.tell(sentence)
        self.put(following)

    async def _skip(self, _asked: Asking) -> None:
        assert self.before is not None
        token = self.before.held.token

        def skipping(session: Session, principal: Principal) -> Held | None:
            desk.skip(session, token)
            return self._next(session, principal)

        following = await self._seen(await self.view.act(self.role, skipping))
        self.tell(self.view.words("desk.skipped"))
        self.put(following)

    async def _undo(self, _asked: Asking) -> None:
        def undoing(session: Session, principal: Principal) -> tuple[Held, Any]:
            return desk.undo(session, self.reviewer(principal))

        try:
            held, said = await self.view.act(self.role, undoing)
        except Conflict as error:  # nothing to take back: what is before them stays, as typed
            self.tell(error_sentence(self.view.words, error))
            return
        before = await self._seen(held)
        self.num_done = max(0, self.num_done - 1)
        self.tell(self.view.words("desk.undone"))
        self.put(before, said)

    async def _raw(self, _asked: Asking) -> None:
        """Between fields and JSON."""
        self.entry = turned(self.entry)

    async def _add(self, asked: Asking) -> None:
        given = jsonform.with_item(self.entry.given, asked.path)
        last = jsonform.num_items(given, asked.path) - 1
        self.entry = replace(self.entry, given=given, focus=f"{asked.path}/{last}")

    async def _remove(self, asked: Asking) -> None:
        path, _, item = asked.path.rpartition("/")
        if item.isdigit():
            given = jsonform.without_item(self.entry.given, path, int(item))
            self.entry = replace(self.entry, given=given, focus=path)

    async def renew(self) -> None:
        """Keep what is shown before this person."""
        if self.before is None or self.is_stopped:
            return
        token = self.before.held.token
        try:
            await self.view.act(self.role, lambda session, _: desk.renew(session, token))
        except ClaimLost:
            if self.before is not None and self.before.held.token == token:
                self._stop()

    def leave(self) -> None:
        """The page is closed: others may have the sample."""
        if self.before is not None:
            token = self.before.held.token
            _LEAVING.add(task := asyncio.create_task(run_in_threadpool(self._release, token)))
            task.add_done_callback(_LEAVING.discard)

    def _release(self, token: str) -> None:
        with self.view.parts.database.transaction() as session:
            desk.release(session, token)


_LEAVING: set[asyncio.Task[None]] = set()
"""Kept, so that none of them is dropped before it is done."""


def _to_begin_with(held: Held) -> Any:
    """The model's answer, so that to confirm it is one key; between two reviewers nobody's word
    stands there first, but JSON is not to be typed anew."""
    if held.look is not Look.THIRD:
        return held.sample.answer
    return next((one for one in held.said if isinstance(one, dict | list)), "")
