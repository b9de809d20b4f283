"""`/login` and `/logout`: plain forms, which work before any script has loaded."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from dizuo.access import accounts, sessions
from dizuo.console.elements.markup import EMPTY, link, tag
from dizuo.console.gate import SESSION_COOKIE, SIGN_IN
from dizuo.console.hashing import in_turn
from dizuo.console.messages import Language, Words
from dizuo.console.parts import Parts
from dizuo.console.plain import plain_page
from dizuo.console.sentences import error_sentence
from dizuo.console.visit import CURRENT, LANGUAGE_COOKIE, signed_in
from dizuo.core.errors import DizuoError, Unavailable

router = APIRouter()
_YEAR_SECONDS = 365 * 24 * 3600
_LONGEST_ADDRESS = 8000
_MOST_CHARACTERS = 4000
"""Of what is typed as a password, more than any has."""


@router.get(SIGN_IN)
async def ask(request: Request, next: str = "", language: str = "") -> Response:
    """The form; who has signed in already goes on."""
    if CURRENT.get().person is not None:
        return RedirectResponse(inside(next), 303)
    if language in {one.value for one in Language}:
        answer = RedirectResponse(_sign_in_address(next), 303)
        answer.set_cookie(
            LANGUAGE_COOKIE, language, max_age=_YEAR_SECONDS, samesite="lax", httponly=True
        )
        return answer
    return await _form(request, next, "", None)


@router.post(SIGN_IN)
async def sign_in(
    request: Request,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session, or ask again with the reason; the name stays where it was typed."""
    parts: Parts = request.app.state.parts
    host = request.client.host if request.client else ""
    try:
        typed = password[:_MOST_CHARACTERS]
        begin = partial(sessions.sign_in, parts.database, name, typed, host)
        secret = await in_turn(begin)
    except DizuoError as error:
        return await _form(request, next, name, error)
    answer = RedirectResponse(inside(next), 303)
    answer.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=sessions.OLD_MS // 1000,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
async def sign_out(request: Request) -> Response:
    """End the session."""
    parts: Parts = request.app.state.parts
    person = signed_in()

    def end() -> None:
        with parts.database.transaction() as session:
            sessions.sign_out(session, person)

    await run_in_threadpool(end)
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(SESSION_COOKIE)
    return answer


def inside(wanted: str) -> str:
    """An address of the console; anything else, or one too long for a header, is not followed."""
    is_inside = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_inside and len(wanted) <= _LONGEST_ADDRESS else "/"


def _sign_in_address(wanted: str) -> str:
    return f"{SIGN_IN}?next={quote(wanted)}" if wanted else SIGN_IN


async def _form(request: Request, wanted: str, name: str, error: DizuoError | None) -> Response:
    parts: Parts = request.app.state.parts
    is_down = isinstance(error, Unavailable)
    has_accounts = is_down or await run_in_threadpool(_has_accounts, parts)
    content = _content(CURRENT.get().words, wanted, name, error, has_accounts)
    return plain_page(
        CURRENT.get().words("sign_in.title"), *content, status=error.http_status if error else 200
    )


def _has_accounts(parts: Parts) -> bool:
    with parts.database.reading() as session:
        return accounts.has_any(session)


def _content(
    words: Words, wanted: str, name: str, error: DizuoError | None, has_accounts: bool
) -> tuple[Markup, ...]:
    refused = (
        tag("p", error_sentence(words, error), class_="notice bad", role="alert")
        if error
        else EMPTY
    )
    first = EMPTY if has_accounts else _first_account(words)
    form = tag(
        "form",
        tag("input", type="hidden", name="next", value=wanted),
        tag("label", words("sign_in.name"), for_="name"),
        tag(
            "input",
            id="name",
            name="name",
            value=name,
            autocomplete="username",
            required=True,
            autofocus=not name,
            maxlength="200",
        ),
        tag("label", words("sign_in.password"), for_="password"),
        tag(
            "input",
            id="password",
            name="password",
            type="password",
            required=True,
            autocomplete="current-password",
            autofocus=bool(name),
        ),
        tag("button", words("sign_in.button"), type="submit", class_="button primary"),
        method="post",
        action=SIGN_IN,
    )
    return refused, first, form, _languages(words, wanted)


def _first_account(words: Words) -> Markup:
    command = tag("code", "dizuo account create NAME --role admin", tabindex="0")
    return tag("div", tag("p", words("sign_in.first")), tag("pre", command), class_="notice")


def _languages(words: Words, wanted: str) -> Markup:
    others = [one for one in Language if one is not words.language]
    address = f"{SIGN_IN}?next={quote(wanted)}"
    return tag(
        "p",
        *(
            link(one.own_name, f"{address}&language={one.value}", lang=one.tag, hreflang=one.tag)
            for one in others
        ),
        class_="languages",
    )
