"""`/account`: one's own account, its open sessions, and another password for it. For everybody."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access import people, sessions
from dizuo.access.model import Account
from dizuo.access.passwords import HashedPassword, PasswordRefused, hashed
from dizuo.access.people import OpenSession
from dizuo.access.sessions import WrongPassword
from dizuo.access.throttle import TooManyTries
from dizuo.console.elements.buttons import button
from dizuo.console.elements.markup import facts, join, panel, tag
from dizuo.console.elements.telling import when
from dizuo.console.frame import OWN_ACCOUNT, View, console_page
from dizuo.console.hashing import in_turn
from dizuo.console.messages import Words
from dizuo.console.people.listing import password_field
from dizuo.console.people.person import NUM_SESSIONS, sessions_panel
from dizuo.console.sentences import error_sentence
from dizuo.core.clock import now_ms


@console_page(OWN_ACCOUNT, "account.title", "account")
async def own_account(view: View) -> None:
    """Who one is here, where else one is signed in, and the form."""

    account, found = await view.read(partial(_look, view))
    ui.html(_head(view.words, account), sanitize=False).classes("rows")
    with ui.element("div").classes("grid"):
        form = PasswordForm(view)
    form.draw_sessions(found)


def _look(view: View, session: Session) -> tuple[Account, Sequence[OpenSession]]:
    account = people.show(session, view.project_id, view.person.principal.name)
    return account, people.open_sessions(session, account, limit=NUM_SESSIONS)


def _head(words: Words, account: Account) -> Markup:
    about = [
        (words("people.name"), account.name),
        (words("people.role"), words(f"people.role_{account.role.word}")),
        (words("people.created"), when(words, account.created_ms, now_ms())),
    ]
    title = tag("h1", words("account.title"))
    return join([title, panel(words("people.about"), facts(about))])


class PasswordForm:
    """Changes the password, once at a time. What is wrong stands at its field, and what was typed
    stays; below it stand the sessions that are open then."""

    def __init__(self, view: View) -> None:
        self._view, words, change = view, view.words, view.doing(self.change)
        with ui.element("section").classes("panel form-panel"):
            means = tag("p", words("account.change_means"), class_="muted")
            ui.html(join([tag("h2", words("account.change")), means]), sanitize=False)
            with ui.element("div").classes("form"):
                self.present = password_field(words("account.present"), kind="current-password")
                self.chosen = password_field(words("account.chosen"), words("people.password_hint"))
                self.again = password_field(words("account.again"))
                self.fields = (self.present, self.chosen, self.again)
                for field in self.fields:
                    field.on("keydown.enter", change)
                with ui.element("div").classes("buttons"):
                    self._button = button(words("account.change"), change, "primary")

    def draw_sessions(self, found: Sequence[OpenSession]) -> None:
        """Show the sessions that are open."""
        self._sessions = ui.html(sessions_panel(self._view.words, found), sanitize=False)

    async def change(self) -> None:
        """Change it, unless that is under way already."""
        if not self._button.enabled:
            return
        self._button.disable()
        try:
            await self._change()
        finally:
            self._button.enable()

    async def _change(self) -> None:
        view, present = self._view, self.present.value
        chosen = await self._checked()
        if chosen is None:
            return

        def change() -> None:
            sessions.change_password(view.parts.database, view.secret, present, chosen)

        try:
            await in_turn(change)
        except (WrongPassword, TooManyTries) as error:
            self.present.error = error_sentence(view.words, error)
            return
        for field in self.fields:
            field.value = ""
        _, found = await view.read(partial(_look, view))
        self._sessions.content = sessions_panel(view.words, found)
        view.done(view.words("account.changed"))

    async def _checked(self) -> HashedPassword | None:
        """The password to keep; None where a field is empty, or it cannot be, or was not typed the
        same way twice."""
        words, name = self._view.words, self._view.person.principal.name
        for field in self.fields:
            field.error = None if field.value else words("form.needed")
        if self.again.value and self.again.value != self.chosen.value:
            self.again.error = words("account.not_alike")
        if not self.chosen.value:
            return None
        try:
            chosen = await in_turn(partial(hashed, name, self.chosen.value))
        except PasswordRefused as error:
            self.chosen.error = error_sentence(words, error)
            return None
        return None if any(field.error for field in self.fields) else chosen
