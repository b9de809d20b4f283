"""`/people`: who has an account and is signed in, and a form for one more. For admins."""

from __future__ import annotations

from functools import partial

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access import accounts, people
from dizuo.access.accounts import AccountExists
from dizuo.access.model import Account, Principal, Role
from dizuo.access.passwords import HashedPassword, PasswordRefused, hashed
from dizuo.access.people import PeoplePage, Presence
from dizuo.console.elements.buttons import button, text_field
from dizuo.console.elements.lists import Place, pager
from dizuo.console.elements.lists import search as search_form
from dizuo.console.elements.markup import Column, badge, join, link, panel, table, tag
from dizuo.console.elements.places import subject_address
from dizuo.console.elements.telling import when
from dizuo.console.frame import View, console_page
from dizuo.console.hashing import in_turn
from dizuo.console.messages import Words
from dizuo.console.sentences import error_sentence
from dizuo.core.clock import now_ms
from dizuo.core.errors import InvalidInput

_PATH = "/people"
_NUM_ROWS = 25
_COLUMNS = (
    "people.name",
    "people.role",
    "column.state",
    "people.sessions",
    "people.seen",
    "people.created",
)


@console_page(_PATH, "nav.people", "people")
async def listing(view: View, search: str = "", page: int = 1) -> None:
    """Accounts by name, and the form."""
    search = search.strip()
    place = Place(_PATH, page, {"search": search}, _NUM_ROWS)

    def look(session: Session) -> tuple[PeoplePage, str]:
        found = people.page(session, view.project_id, search, limit=place.size, offset=place.offset)
        return found, accounts.last_admin(session, view.project_id)

    found, last_admin = await view.read(look)
    words = view.words
    ui.html(tag("h1", words("nav.people")), sanitize=False)
    title = words("people.accounts")
    parts = [
        search_form(words, place, words("people.name"), "search"),
        _people(words, view, found, last_admin),
        pager(words, place, found.num_accounts, title),
    ]
    ui.html(panel(title, *parts), sanitize=False)
    _Form(view)


def _people(words: Words, view: View, found: PeoplePage, last_admin: str) -> Markup:
    if not found.accounts:
        return tag("p", words("people.none"), class_="muted")
    columns = [Column(words(key)) for key in _COLUMNS]
    rows = [
        _row(words, one, found.presence.get(one.id), view, is_last=one.name == last_admin)
        for one in found.accounts
    ]
    return table(columns, rows, words("people.accounts"))


def _row(
    words: Words, account: Account, presence: Presence | None, view: View, *, is_last: bool
) -> tuple[object, ...]:
    now = now_ms()
    marks = []
    if account.id == view.person.account_id:
        marks.append(tag("span", words("people.you"), class_="under"))
    if is_last:
        marks.append(tag("div", badge(words("people.last_admin"), "warn")))
    named = link(account.name, subject_address(f"account:{account.name}"))
    return (
        join([named, *marks], " "),
        words(f"role.{account.role.word}"),
        account_state(words, account),
        _sessions(words, presence, now),
        when(words, presence.seen_ms, now) if presence else "–",
        when(words, account.created_ms, now),
    )


def account_state(words: Words, account: Account) -> Markup:
    """Whether somebody can sign in with an account."""
    if account.disabled_ms is None:
        return badge(words("people.enabled"), "good")
    return badge(words("people.disabled"))


def _sessions(words: Words, presence: Presence | None, now: int) -> object:
    if presence is None:
        return tag("span", words("people.no_session"), class_="muted")
    count = words("people.num_sessions", count=presence.num_sessions)
    return join([count, tag("span", when(words, presence.since_ms, now), class_="under")])


def role_choice(words: Words, chosen: Role) -> ui.select:
    """A field that chooses a role, with what each may do."""
    offered = {one.word: words(f"people.role_{one.word}") for one in Role}
    made = ui.select(offered, label=words("people.role"), value=chosen.word)
    return made.props("outlined dense options-dense").classes("field")


def password_field(label: str, hint: str = "", kind: str = "new-password") -> ui.input:
    """A field for a password; `kind` tells the browser whether it knows it, as HTML's
    `autocomplete` does."""
    made = ui.input(label, password=True, password_toggle_button=False)
    made.props(f"outlined dense no-error-icon autocomplete={kind}")
    made.props["hint"] = hint
    return made.classes("field")


class _Form:
    """Makes an account. What is wrong stands at its field, and what was typed stays."""

    def __init__(self, view: View) -> None:
        self._view, words = view, view.words
        with ui.element("section").classes("panel form-panel"):
            ui.html(tag("h2", words("people.new")), sanitize=False)
            with ui.element("div").classes("form"):
                self._name = text_field(words("people.name"), hint=words("people.name_hint"))
                self._role = role_choice(words, Role.READER)
                self._password = password_field(
                    words("people.password"), words("people.password_hint")
                )
                with ui.element("div").classes("buttons"):
                    button(words("people.create"), view.doing(self._create), "primary")

    async def _create(self) -> None:
        view, name = self._view, self._name.value.strip()
        password = await self._checked(name)
        if password is None:
            return
        role = Role[str(self._role.value).upper()]

        def create(session: Session, caller: Principal) -> Account:
            return accounts.create(session, caller, name, role, password)

        try:
            await view.act(Role.ADMIN, create)
        except AccountExists as error:
            self._name.error = error_sentence(view.words, error)
            return
        ui.navigate.to(subject_address(f"account:{name}"))

    async def _checked(self, name: str) -> HashedPassword | None:
        """The password to keep; None where the name or the password cannot be, which is said at
        both fields."""
        words = self._view.words
        self._name.error = _fault(words, name)
        self._password.error = None
        try:
            password = await in_turn(partial(hashed, name, self._password.value))
        except PasswordRefused as error:
            self._password.error = error_sentence(words, error)
            return None
        return None if self._name.error else password


def _fault(words: Words, name: str) -> str | None:
    try:
        accounts.require_name(name)
    except InvalidInput:
        return words("people.name_bad")
    return None
