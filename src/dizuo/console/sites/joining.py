"""`/join`: the command with which a new site joins, shown once."""

from __future__ import annotations

from dataclasses import replace

from nicegui import ui
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.elements.buttons import button, text_field
from dizuo.console.elements.markup import tag
from dizuo.console.frame import View, console_page
from dizuo.edge.wire import NameText
from dizuo.sites import finding, service
from dizuo.sites.model import IssuedToken

_DEFAULT_HOURS, _MAX_HOURS = 24, 720


class _Form:
    """Who shall join, and for how long the token is good."""

    def __init__(self, view: View, place: ui.element) -> None:
        self._view, self._place = view, place
        words = view.words
        with place:
            ui.html(tag("p", words("sites.join_note"), class_="muted"), sanitize=False)
            self._name = text_field(words("sites.join_name"), hint=words("sites.join_name_hint"))
            self._hours = text_field(words("sites.join_hours"), str(_DEFAULT_HOURS))
            self._hours.props("inputmode=numeric")
            make = view.doing(self._make)
            for one in (self._name, self._hours):
                one.on("keydown.enter", make)
            with ui.element("div").classes("buttons"):
                button(words("sites.join_button"), make, "primary")

    async def _make(self) -> None:
        name, hours = self._name.value.strip(), _hours(self._hours.value)
        words, parts = self._view.words, self._view.parts
        self._name.error = await self._complaint(name)
        self._hours.error = words("sites.join_hours_bad") if hours is None else None
        if self._name.error or hours is None:
            return
        root = parts.repository.root_sha256()

        def issue(session: Session, caller: Principal) -> IssuedToken:
            return service.create_join_token(
                session,
                caller.actor,
                parts.url,
                root,
                ttl_seconds=hours * 3600,
                project_id=caller.project_id,
            )

        issued = await self._view.act(Role.ADMIN, issue)
        self._show(replace(issued, site_name=name), hours)

    async def _complaint(self, name: str) -> str | None:
        words, project_id = self._view.words, self._view.project_id
        try:
            TypeAdapter(NameText).validate_python(name)
        except ValidationError:
            return words("sites.join_name_bad")
        is_taken = await self._view.read(
            lambda session: finding.is_taken(session, name, project_id=project_id)
        )
        return words("sites.join_name_taken") if is_taken else None

    def _show(self, issued: IssuedToken, hours: int) -> None:
        words = self._view.words
        self._place.clear()

        async def copy() -> None:
            ui.clipboard.write(issued.command)
            self._view.done(words("ask.copied"))

        async def again() -> None:
            self._place.clear()
            _Form(self._view, self._place)

        with self._place:
            command = tag("pre", tag("code", issued.command, id="command"))
            title = tag("h2", words("sites.join_command"))
            ui.html(title + command, sanitize=False).classes("form")
            ui.html(tag("p", words("sites.join_until", hours=hours)), sanitize=False)
            with ui.element("div").classes("buttons"):
                button(words("ask.copy"), copy, "primary")
                button(words("sites.join_another"), again)


def _hours(text: str) -> int | None:
    text = text.strip()
    hours = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
    return hours if 1 <= hours <= _MAX_HOURS else None


@console_page("/join", "sites.let_join", "sites")
async def joining(view: View) -> None:
    """A form for admins; the command takes its place."""
    view.person.principal.require(Role.ADMIN)
    ui.html(tag("h1", view.words("sites.let_join")), sanitize=False)
    _Form(view, ui.element("section").classes("panel form"))
