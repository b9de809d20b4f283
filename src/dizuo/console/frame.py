"""What surrounds every page: navigation, language, colours; and how a page is declared."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from fastapi import Request
from nicegui import Client, ui
from nicegui.language import Language as QuasarLanguage
from nicegui.page import page
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from dizuo.access import sessions
from dizuo.access.model import Person, Principal, Role
from dizuo.access.sessions import SessionEnded
from dizuo.console.elements.markup import EMPTY, join, link, tag
from dizuo.console.elements.telling import times_script
from dizuo.console.gate import SESSION_COOKIE
from dizuo.console.live import Feeds, Trouble
from dizuo.console.messages import Language, Words
from dizuo.console.parts import Parts
from dizuo.console.presence import Presence, sign_in_address
from dizuo.console.sentences import error_sentence
from dizuo.console.staleness import StaleNotice
from dizuo.console.visit import CURRENT, Theme, Visit, signed_in
from dizuo.console.work import Standing, Work, Works
from dizuo.core.clock import now_ms
from dizuo.core.errors import DizuoError

P = ParamSpec("P")
T = TypeVar("T")
_logger = logging.getLogger(__name__)
NAVIGATION = (
    ("overview", "/"),
    ("stacks", "/stacks"),
    ("data", "/data"),
    ("runs", "/runs"),
    ("review", "/review"),
    ("releases", "/releases"),
    ("sites", "/sites"),
    ("approvals", "/approvals"),
    ("audit", "/audit"),
    ("people", "/people"),
)
"""Keys of the catalogue's `nav.`, and addresses, in their order."""
OWN_ACCOUNT = "/account"
"""Where somebody finds their own account; it is no entry of the navigation."""
NEEDED = {"people": Role.ADMIN}
"""The role that it takes to look at a part; all others are for everybody who has signed in."""
_PATIENCE_SECONDS = 0.4
"""How long a page waits for work that may be short, rather than show that it is under way."""
_LONGEST_SECONDS = 60.0
"""How late a page may come where the machine is busy, a training run beside the hub for one, before
it is told as a failure."""
_QUASAR: dict[Language, QuasarLanguage] = {Language.ENGLISH: "en-US", Language.CHINESE: "zh-CN"}


@dataclass(frozen=True, slots=True)
class View:
    """A page that one person has open."""

    visit: Visit
    person: Person
    parts: Parts
    feeds: Feeds
    works: Works
    client: Client
    secret: str
    stale: StaleNotice

    @property
    def words(self) -> Words:
        """The texts in this person's language."""
        return self.visit.words

    @property
    def project_id(self) -> str:
        """The only project that this person may see."""
        return self.person.principal.project_id

    def may(self, role: Role) -> bool:
        """Whether to show what needs a role; `act` is what refuses."""
        held = self.person.principal.role
        return held is not None and held >= role

    async def read(self, look: Callable[[Session], T]) -> T:
        """What a function finds in the database, in a worker thread."""

        def reading() -> T:
            with self.parts.database.reading() as session:
                return look(session)

        return await run_in_threadpool(reading)

    async def act(self, role: Role, change: Callable[[Session, Principal], T]) -> T:
        """Change something, in a worker thread and one transaction, as this person.

        The session is read anew in that transaction, so one that has ended, and a role that was
        taken away since the page was opened, count.

        Raises:
            SessionEnded: sign in again.
            RoleMissing: this person may not do that.
        """

        def changing() -> T:
            with self.parts.database.transaction() as session:
                principal = sessions.recognise(session, self.secret).principal
                principal.require(role)
                return change(session, principal)

        return await run_in_threadpool(changing)

    def follow(
        self,
        key: str,
        look: Callable[[Session], T],
        show: Callable[[T], None],
        *,
        seconds: float = 2.0,
    ) -> None:
        """Show what a function finds in this person's project, and again whenever it changes.

        Pages of one project that follow one key share what is read. While it cannot be read, a
        notice on the page says so.
        """
        database = self.parts.database

        def read() -> T:
            with database.reading() as session:
                return look(session)

        def warn(trouble: Trouble | None) -> None:
            self.stale.warn(key, trouble)

        whole = (self.project_id, key)
        self.feeds.follow(self.client, whole, read, show, warn=warn, seconds=seconds)

    async def watch(
        self, work: Work, show: Callable[[Standing], None], *, only_while_seen: bool = False
    ) -> None:
        """Show how a piece of work stands: at once, and again as it goes on.

        Args:
            work: what is done.
            show: called with each new standing.
            only_while_seen: stop it once the last page that watches it so is closed.
        """
        if only_while_seen:
            work.enter()
            self.client.on_delete(work.leave)
        await run_in_threadpool(work.wait, _PATIENCE_SECONDS)
        show(work.standing)
        if not work.standing.has_ended:
            key = (self.project_id, "work", work.id)
            self.feeds.follow(self.client, key, lambda: work.standing, show, seconds=0.3)

    def doing(self, act: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        """An event's handler that tells on the page what was refused; whose session has ended is
        sent to sign in, and comes back to this page. It goes on even where the button that began it
        is drawn anew meanwhile."""

        @wraps(act)
        async def handled(*args: P.args, **kwargs: P.kwargs) -> None:
            with self.client:
                try:
                    await act(*args, **kwargs)
                except SessionEnded:
                    self.client.open(sign_in_address(self.client.request))
                except DizuoError as error:
                    self.tell(error)

        return handled

    def tell(self, error: DizuoError) -> None:
        """Say on the page that something was refused, and what to do about it."""
        ui.notify(error_sentence(self.words, error), type="negative", timeout=0, close_button=True)

    def done(self, sentence: str) -> None:
        """Say on the page that something was done."""
        ui.notify(sentence, type="positive")


class _Page(page):
    """NiceGUI's page, with language and colours of who asks instead of the route's."""

    def resolve_language(self) -> QuasarLanguage | None:
        return _QUASAR[CURRENT.get().language]

    def resolve_dark(self) -> bool | None:
        return {Theme.LIGHT: False, Theme.DARK: True}.get(CURRENT.get().theme)


def console_page(
    path: str, title: str, part: str
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """Declare a page: a coroutine that takes a View, then what its address carries.

    Args:
        path: its address, with FastAPI's fields.
        title: the catalogue's key of its title.
        part: which entry of NAVIGATION it belongs to.
    """

    def declare(build: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @wraps(build)
        async def built(request: Request, **given: Any) -> None:
            view = _view(request)
            ui.page_title(f"{view.words(title)} · dizuo")
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            with _frame(view, part, here):
                await _build(view, build, given, NEEDED.get(part, Role.READER))

        of_build = inspect.signature(build, eval_str=True).parameters
        asked = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        others = [
            one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, one in of_build.items()
            if name != "view"
        ]
        built.__signature__ = inspect.Signature([asked, *others])  # type: ignore[attr-defined]
        _Page(path, response_timeout=_LONGEST_SECONDS)(built)
        return built

    return declare


async def _build(
    view: View, build: Callable[..., Awaitable[None]], given: Mapping[str, Any], needed: Role
) -> None:
    """Build a page's content; where that fails, or is not for this person, say so in its place."""
    try:
        view.person.principal.require(needed)
        await build(view, **given)
    except DizuoError as error:
        view.client.status_code = error.http_status
        sentence = error_sentence(view.words, error)
    except Exception:  # the page's edge: logged, and told without its details
        _logger.exception("a page could not be built")
        view.client.status_code = 500
        sentence = view.words("told.failed")
    else:
        return
    notice = tag("p", sentence, class_="notice bad", role="alert")
    title = tag("h1", view.words("told.failed_title"))
    ui.html(join([title, notice]), sanitize=False).classes("rows")


def _view(request: Request) -> View:
    visit = CURRENT.get()
    state = request.app.state
    secret = request.cookies[SESSION_COOKIE]
    cast(Presence, state.presence).enter(ui.context.client, secret)
    return View(
        visit,
        signed_in(),
        cast(Parts, state.parts),
        cast(Feeds, state.feeds),
        cast(Works, state.works),
        ui.context.client,
        secret,
        StaleNotice(visit.words),
    )


def _frame(view: View, part: str, here: str) -> ui.element:
    """Draw what surrounds the page at `here`; the page goes into what is returned."""
    theme = view.visit.theme.value
    ui.add_head_html(f'<script>document.documentElement.dataset.theme = "{theme}"</script>')
    with view.client.layout:  # beside NiceGUI's own main element, not in it
        side = ui.html(_side(view, part, here), sanitize=False, tag="header").classes("side")
        side.move(target_index=0)
    ui.add_head_html(times_script(view.words, now_ms()))
    main = ui.element("div").props('id="main" tabindex="-1"').classes("page")
    view.stale.move(main)
    return main


def _side(view: View, part: str, here: str) -> str:
    words = view.words
    entries = [
        tag("li", link(words(f"nav.{key}"), href, aria_current="page" if key == part else None))
        for key, href in NAVIGATION
        if view.may(NEEDED.get(key, Role.READER))
    ]
    brand = link(join([tag("span", "底座", lang="zh-CN"), " dizuo"]), "/", class_="brand")
    menu = tag(
        "details",
        tag("summary", words("frame.menu")),
        tag("nav", tag("ul", *entries), aria_label=words("frame.menu")),
        _choices(view, here),
        class_="menu",
    )
    wide = tag("nav", tag("ul", *entries), class_="wide", aria_label=words("frame.parts"))
    foot = tag("div", _choices(view, here), class_="wide foot")
    skip = link(words("frame.skip"), "#main", class_="skip")
    return join([skip, brand, menu, wide, foot])


def _choices(view: View, here: str) -> object:
    """Language, colours, and the way out: forms, so that they need no socket. They come back to
    where the page is by then: pages write what they show into their address."""
    words, visit = view.words, view.visit
    languages = [
        tag("button", one.own_name, name="language", value=one.value, lang=one.tag)
        for one in Language
        if one is not visit.language
    ]
    themes = [
        tag(
            "button",
            words(f"theme.{one.value}"),
            name="theme",
            value=one.value,
            aria_pressed=str(one is visit.theme).lower(),
        )
        for one in Theme
    ]
    prefer = tag(
        "form",
        tag("input", type="hidden", name="next", value=here),
        *languages,
        tag("span", *themes, class_="themes", role="group", aria_label=words("frame.colours")),
        method="post",
        action="/preferences",
        class_="prefer",
        onsubmit="this.next.value = location.pathname + location.search",
    )
    role = view.person.principal.role
    own = link(view.person.principal.name, OWN_ACCOUNT, title=words("account.title"))
    who = tag("p", own, " · ", words(f"role.{role.word}") if role else EMPTY)
    leave = tag("form", tag("button", words("frame.sign_out")), method="post", action="/logout")
    return join([prefer, who, leave])
