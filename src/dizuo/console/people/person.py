"""`/people/{name}`: one account: role, password, whether it may sign in, and its open sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access import accounts, people
from dizuo.access.model import Account, Principal, Role
from dizuo.access.passwords import PasswordRefused, hashed
from dizuo.access.people import OpenSession
from dizuo.console.elements.buttons import Act, Question, button, is_sure
from dizuo.console.elements.markup import Column, address, facts, join, link, panel, table, tag
from dizuo.console.elements.telling import when
from dizuo.console.frame import View, console_page
from dizuo.console.hashing import in_turn
from dizuo.console.messages import Words
from dizuo.console.people.listing import account_state, password_field, role_choice
from dizuo.console.sentences import error_sentence
from dizuo.core.clock import now_ms

NUM_SESSIONS = 20
_Change = Callable[[Session, Principal], Account]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page shows; `is_last` says that nobody else could manage the project."""

    account: Account
    sessions: Sequence[OpenSession]
    is_last: bool


@console_page("/people/{name}", "nav.people", "people")
async def person(view: View, name: str) -> None:
    """What there is to know of somebody's account, and what an admin may do about it."""

    def look(session: Session) -> Seen:
        account = people.show(session, view.project_id, name)
        found = people.open_sessions(session, account, limit=NUM_SESSIONS)
        is_last = account.name == accounts.last_admin(session, view.project_id)
        return Seen(account, found, is_last)

    seen = await view.read(look)
    words = view.words
    ui.html(_head(words, seen), sanitize=False).classes("rows")
    _Acting(view, seen)
    ui.html(sessions_panel(words, seen.sessions), sanitize=False)


def _head(words: Words, seen: Seen) -> Markup:
    account = seen.account
    back = tag("p", link(words("nav.people"), "/people"), class_="trail")
    title = tag("div", tag("h1", account.name), account_state(words, account), class_="head")
    log = address("/audit", subject=f"account:{account.name}")
    done = address("/audit", actor=f"person:{account.name}")
    about = [
        (words("people.role"), words(f"people.role_{account.role.word}")),
        (words("people.created"), when(words, account.created_ms, now_ms())),
        (
            words("nav.audit"),
            join([link(words("people.did"), done), link(words("people.done_to"), log)], " · "),
        ),
    ]
    parts = [tag("div", back, title, class_="titled"), panel(words("people.about"), facts(about))]
    if seen.is_last:
        parts.append(tag("p", words("people.last_admin_why"), class_="notice"))
    return join(parts)


def sessions_panel(words: Words, found: Sequence[OpenSession]) -> Markup:
    """The sessions that an account has open."""
    title = words("people.sessions")
    if not found:
        return panel(title, tag("p", words("people.no_session"), class_="muted"))
    columns = [Column(words("people.since")), Column(words("people.seen"))]
    now = now_ms()
    rows = [(when(words, one.since_ms, now), when(words, one.seen_ms, now)) for one in found]
    return panel(title, table(columns, rows, title))


class _Acting:
    """What an admin may do about an account: each thing is asked about first."""

    def __init__(self, view: View, seen: Seen) -> None:
        self._view, self._seen = view, seen
        self._is_self = seen.account.id == view.person.account_id
        with ui.element("div").classes("grid"):
            if not seen.is_last:
                self._draw_role()
            self._draw_password()
            if not seen.is_last:
                self._draw_entry()

    def _draw_role(self) -> None:
        words = self._view.words
        with ui.element("section").classes("panel form-panel"):
            ui.html(tag("h2", words("people.change_role")), sanitize=False)
            with ui.element("div").classes("form"):
                self._role = role_choice(words, self._seen.account.role)
                button(words("people.change_role"), self._view.doing(self._set_role))

    def _draw_password(self) -> None:
        words = self._view.words
        with ui.element("section").classes("panel form-panel"):
            ui.html(tag("h2", words("people.new_password")), sanitize=False)
            with ui.element("div").classes("form"):
                self._password = password_field(
                    words("people.password"), words("people.password_hint")
                )
                button(words("people.set_password"), self._view.doing(self._set_password))

    def _draw_entry(self) -> None:
        words, account = self._view.words, self._seen.account
        is_open = account.disabled_ms is None
        title = words("people.disable") if is_open else words("people.enable")
        means = words("people.disable_means") if is_open else words("people.enable_means")
        with ui.element("section").classes("panel form-panel"):
            said = join([tag("h2", title), tag("p", means, class_="muted")])
            ui.html(said, sanitize=False)
            with ui.element("div").classes("buttons"):
                button(title, self._letting_in(is_open), "danger" if is_open else "primary")

    async def _set_role(self) -> None:
        words, name = self._view.words, self._seen.account.name
        role = Role[str(self._role.value).upper()]
        asked = Question(
            words("people.role_title", name=name, role=words(f"role.{role.word}")),
            self._also_self(words("people.role_means")),
            words("people.change_role"),
        )
        await self._change(
            asked, lambda session, caller: accounts.set_role(session, caller, name, role)
        )

    async def _set_password(self) -> None:
        words, name = self._view.words, self._seen.account.name
        try:
            password = await in_turn(partial(hashed, name, self._password.value))
        except PasswordRefused as error:
            self._password.error = error_sentence(words, error)
            return
        self._password.error = None
        asked = Question(
            words("people.password_title", name=name),
            self._also_self(words("people.password_means")),
            words("people.set_password"),
        )
        await self._change(
            asked, lambda session, caller: accounts.set_password(session, caller, name, password)
        )

    def _letting_in(self, is_open: bool) -> Act:
        words, name = self._view.words, self._seen.account.name
        title = words("people.disable_title", name=name)
        if not is_open:
            title = words("people.enable_title", name=name)
        means = words("people.disable_means") if is_open else words("people.enable_means")
        yes = words("people.disable") if is_open else words("people.enable")
        asked = Question(title, self._also_self(means), yes, is_dangerous=is_open)

        def change(session: Session, caller: Principal) -> Account:
            act = accounts.disable if is_open else accounts.enable
            return act(session, caller, name)

        async def let() -> None:
            await self._change(asked, change)

        return self._view.doing(let)

    def _also_self(self, means: str) -> str:
        """What something means, and that it is one's own account where it is."""
        return f"{means} {self._view.words('people.your_own')}" if self._is_self else means

    async def _change(self, asked: Question, change: _Change) -> None:
        """Ask, change, and draw the page anew with what counts then."""
        if await is_sure(self._view, asked):
            await self._view.act(Role.ADMIN, change)
            ui.navigate.reload()
