"""`/releases/rollouts/new`: which sites shall run a release, and under which name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nicegui import ui
from nicegui.events import ValueChangeEventArguments
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.elements.buttons import Act, Question, button, is_sure, text_field
from dizuo.console.elements.markup import tag
from dizuo.console.elements.telling import number
from dizuo.console.frame import View, console_page
from dizuo.edge.wire import ServedAs
from dizuo.releases import service as releases
from dizuo.releases.model import Release
from dizuo.sites import finding, rollouts
from dizuo.sites.finding import SiteFilter
from dizuo.sites.rollout_model import Rollout

_NUM_OFFERED = 24
_EVERY, _SOME = "every", "some"


@console_page("/releases/rollouts/new", "rollouts.new", "releases")
async def rollout_start(view: View, release: str, site: str = "") -> None:
    """A form for releasers; `site` is one that is picked already."""
    view.person.principal.require(Role.RELEASER)
    wanted = SiteFilter(project_id=view.project_id)

    def read(session: Session) -> tuple[Release, int]:
        found = releases.get(session, release, project_id=view.project_id)
        return found, finding.count(session, wanted)

    found, num_sites = await view.read(read)
    title = tag("h1", view.words("rollouts.new_of", stack=found.stack))
    ui.html(title, sanitize=False)
    if not num_sites:
        told = tag("p", view.words("sites.none"), class_="notice")
        ui.html(told, sanitize=False)
        return
    form = _Form(view, found, num_sites)
    if site:
        form.pick(site)
    await form.offer()


class _Form:
    """Sites are searched for in the database and picked one by one; what was picked stays while
    the search goes on."""

    def __init__(self, view: View, release: Release, num_sites: int) -> None:
        self._view, self._release, self._num_sites = view, release, num_sites
        self._picked: dict[str, None] = {}
        words = view.words
        with ui.element("section").classes("panel form"):
            self._served_as = text_field(
                words("column.served_as"), release.name, words("rollouts.served_as_hint")
            )
            ui.html(tag("h2", words("rollouts.which")), sanitize=False)
            every = words("rollouts.every_site", number=number(num_sites))
            self._which = ui.radio(
                {_EVERY: every, _SOME: words("rollouts.some_sites")},
                value=_SOME,
                on_change=self._choose,
            )
            self._which.props["aria-label"] = words("rollouts.which")
            with ui.element("div").classes("form") as self._choosing:
                self._draw_picker()
            self._complaint = ui.html("", sanitize=False)
            with ui.element("div").classes("buttons"):
                button(words("rollouts.begin"), view.doing(self._begin), "primary")

    def _choose(self, event: ValueChangeEventArguments[str]) -> None:
        self._choosing.set_visibility(event.value == _SOME)

    def _draw_picker(self) -> None:
        words = self._view.words
        self._search = text_field(words("rollouts.pick"))
        self._search.on_value_change(self._view.doing(self.offer)).props("debounce=250")
        self._offered = ui.element("div").classes("picks")
        self._more = ui.html("", sanitize=False)
        self._num_picked = ui.html("", sanitize=False)
        self._picks = ui.element("div").classes("picked")
        self._show_picked()

    async def offer(self) -> None:
        """Show sites that fit what is searched for."""
        wanted = SiteFilter(self._search.value.strip(), project_id=self._view.project_id)

        def read(session: Session) -> tuple[Sequence[str], int]:
            found = finding.find(session, wanted, limit=_NUM_OFFERED)
            return [one.name for one in found], finding.count(session, wanted)

        names, num_found = await self._view.read(read)
        words = self._view.words
        self._offered.clear()
        with self._offered:
            for name in names:
                self._offer_one(name)
        told = ""
        if not names:
            told = words("list.none")
        elif num_found > len(names):
            told = words("rollouts.more_fit", number=number(num_found - len(names)))
        self._more.set_content(tag("p", told, class_="muted"))

    def _offer_one(self, name: str) -> None:
        def change(event: ValueChangeEventArguments[bool | None]) -> None:
            if event.value:
                self.pick(name)
            else:
                self._unpick(name)

        ui.checkbox(name, value=name in self._picked, on_change=change).props("dense")

    def pick(self, name: str) -> None:
        """Have a site among those that are meant."""
        self._picked[name] = None
        self._show_picked()

    def _unpick(self, name: str) -> None:
        self._picked.pop(name, None)
        self._show_picked()

    def _show_picked(self) -> None:
        words = self._view.words
        told = words("rollouts.picked", number=number(len(self._picked)))
        self._num_picked.set_content(tag("p", told, role="status"))
        self._picks.clear()
        with self._picks:
            for name in self._picked:
                label = words("rollouts.unpick", site=name)
                button(f"{name} ×", self._leaving_out(name), label=label)

    def _leaving_out(self, name: str) -> Act:
        async def leave_out() -> None:
            self._unpick(name)
            await self.offer()

        return leave_out

    async def _begin(self) -> None:
        words, release = self._view.words, self._release
        name = self._served_as.value.strip()
        self._served_as.error = None if _can_be_served_as(name) else words("rollouts.served_as_bad")
        sites: list[str] | Literal["all"] = list(self._picked)
        if self._which.value == _EVERY:
            sites = "all"
        self._complaint.set_content(
            ""
            if sites
            else tag("p", words("rollouts.pick_none"), class_="field-error", role="alert")
        )
        if self._served_as.error or not sites:
            return
        num_sites = self._num_sites if sites == "all" else len(sites)
        title = words("rollouts.begin_title", number=number(num_sites), stack=release.stack)
        question = Question(title, words("rollouts.begin_means"), words("rollouts.begin"))
        if not await is_sure(self._view, question):
            return

        def start(session: Session, caller: Principal) -> Rollout:
            return rollouts.start(
                session,
                release.stack,
                sites,
                caller.actor,
                served_as=name,
                project_id=caller.project_id,
            )

        started = await self._view.act(Role.RELEASER, start)
        ui.navigate.to(f"/releases/rollouts/{started.id}")


def _can_be_served_as(name: str) -> bool:
    try:
        TypeAdapter(ServedAs).validate_python(name)
    except ValidationError:
        return False
    return True
