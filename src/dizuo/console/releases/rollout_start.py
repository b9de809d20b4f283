"""`/releases/rollouts/new`: which sites shall run a release, and under which name."""

from __future__ import annotations

from typing import Literal

from nicegui import ui
from nicegui.events import ValueChangeEventArguments
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.elements.buttons import Question, button, is_sure, text_field
from dizuo.console.elements.markup import tag
from dizuo.console.elements.telling import number
from dizuo.console.frame import View, console_page
from dizuo.console.sites.site_picking import SitePicker
from dizuo.edge.wire import ServedAs
from dizuo.releases import service as releases
from dizuo.releases.model import Release
from dizuo.sites import finding, rollouts
from dizuo.sites.finding import SiteFilter
from dizuo.sites.rollout_model import Rollout

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
    await _Form(view, found, num_sites, site).picker.offer()


class _Form:
    """Which sites, under which name, and the button that starts it."""

    def __init__(self, view: View, release: Release, num_sites: int, site: str) -> None:
        self._view, self._release, self._num_sites = view, release, num_sites
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
            self.picker = SitePicker(view, [site] if site else [])
            self._complaint = ui.html("", sanitize=False)
            with ui.element("div").classes("buttons"):
                button(words("rollouts.begin"), view.doing(self._begin), "primary")

    def _choose(self, event: ValueChangeEventArguments[str]) -> None:
        self.picker.set_visibility(event.value == _SOME)

    async def _begin(self) -> None:
        words, release = self._view.words, self._release
        name = self._served_as.value.strip()
        self._served_as.error = None if _can_be_served_as(name) else words("rollouts.served_as_bad")
        sites: list[str] | Literal["all"] = self.picker.names
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
