"""What stands before every page and every socket of the console: who is it, and from where.

NiceGUI accepts sockets from any origin and knows no people; both are settled here, once, for all
that it serves. Strangers reach the sign-in page and the files that it needs, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dizuo.access import sessions
from dizuo.access.model import Person
from dizuo.access.sessions import SessionEnded
from dizuo.console.visit import CURRENT, visit_of
from dizuo.database.engine import Database

SESSION_COOKIE = "dizuo_session"
SIGN_IN = "/login"
OPEN_PATHS = (SIGN_IN, "/console/static/", "/favicon.ico")
"""What strangers may ask for: these, and what lies below those that end in a slash."""
ELSEWHERE = ("/api/", "/edge/", "/v2/", "/tuf/")
"""Other surfaces: an address below them that no route knows is no page."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'self';"
    " script-src 'self' 'unsafe-inline' 'unsafe-eval';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""NiceGUI's pages are inline scripts, and run what the server sends as one; all else is ours."""


class Gate:
    """ASGI middleware around the console.

    Args:
        app: the console's pages.
        database: where sessions are, asked for at each request.
    """

    def __init__(self, app: ASGIApp, database: Callable[[], Database]) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with its visit set, send it to sign in, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if f"{scope['path']}/".startswith(ELSEWHERE):
            raise HTTPException(404)
        asked = HTTPConnection(scope)
        if not _comes_from_here(scope, asked):
            await _refuse(scope, receive, send)
            return
        secret = asked.cookies.get(SESSION_COOKIE, "")
        person = await run_in_threadpool(self._recognise, secret) if secret else None
        if person is None and not _is_open(scope["path"]):
            await _send_to_sign_in(scope, receive, send)
            return
        CURRENT.set(visit_of(person, asked.cookies, asked.headers.get("accept-language", "")))
        await self._app(scope, receive, _with_headers(send))

    def _recognise(self, secret: str) -> Person | None:
        database = self._database()
        try:
            with database.reading() as session:
                person = sessions.recognise(session, secret)
        except SessionEnded:
            return None
        sessions.touch(database, person)
        return person


def _comes_from_here(scope: Scope, asked: HTTPConnection) -> bool:
    """Whether a page of this host asks. Browsers say so of every form and socket; of what only
    looks they need not."""
    origin = asked.headers.get("origin", "")
    if origin:
        return urlsplit(origin).netloc == asked.headers.get("host", "")
    return scope["type"] == "http" and scope["method"] in _SAFE_METHODS


def _is_open(path: str) -> bool:
    return any(path == one or (one.endswith("/") and path.startswith(one)) for one in OPEN_PATHS)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    sentence = "This was not sent from a page of this hub. Open the page anew and send it there."
    await PlainTextResponse(sentence, 403)(scope, receive, send)


async def _send_to_sign_in(scope: Scope, receive: Receive, send: Send) -> None:
    """A page's address is kept, so that one who signs in comes to it; a socket is closed.

    A program that looks around is no reader of pages: to it there is nothing here, as a site whose
    token has a wrong path must be told.
    """
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    wanted = scope["path"]
    if query := scope["query_string"].decode("latin-1"):
        wanted += f"?{query}"
    if scope["method"] != "GET" or wanted.startswith(("/_nicegui", "/console/")):
        await PlainTextResponse("Sign in first.", 401)(scope, receive, send)
        return
    accepted = HTTPConnection(scope).headers.get("accept", "")
    if wanted != "/" and "text/html" not in accepted:
        raise HTTPException(404)
    where = SIGN_IN if wanted == "/" else f"{SIGN_IN}?next={quote(wanted)}"
    await RedirectResponse(where, 303)(scope, receive, send)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
