"""Who may call the local API at all, decided before a route is looked for or a body is read.

A listener on loopback is reached by every program of the machine, its browsers among them, which do
as any web page tells them. So a request must name this machine (a page of a name that was rebound
to 127.0.0.1 names its own), and must not bring a body as a page can send without asking (HTML forms
and `fetch` without a preflight). Where there is a key, every request must show it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dizuo.agent.errors import HostRefused, MediaTypeRefused
from dizuo.agent.local_answers import answer_error
from dizuo.agent.settings import is_loopback
from dizuo.core.errors import DizuoError, Unauthenticated

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What a request must bring: the name of this machine, and a key if there is one."""

    loopback_only: bool = True
    api_key: SecretStr | None = None


class LocalGuard:
    """ASGI middleware that lets through what keeps the rules."""

    def __init__(self, app: ASGIApp, rules: GuardRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer why not."""
        if scope["type"] == "http":
            try:
                admit(self._rules, scope["method"], Headers(scope=scope))
            except DizuoError as error:
                answer = await answer_error(Request(scope), error)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def admit(rules: GuardRules, method: str, headers: Headers) -> None:
    """Hold the head of a request against the rules.

    Raises:
        HostRefused: it names another machine, or none.
        Unauthenticated: it shows no key, or a wrong one.
        MediaTypeRefused: it posts something else than JSON.
    """
    if rules.loopback_only and not names_this_machine(headers.getlist("host")):
        raise HostRefused(
            "This local API answers requests to localhost only.",
            next_step="Call it at http://127.0.0.1 and its port.",
        )
    if rules.api_key is not None and not _shows(rules.api_key, headers):
        raise Unauthenticated(
            "The API key of this site is missing or wrong.",
            next_step="Send it as Authorization: Bearer KEY.",
        )
    if method == "POST" and not _is_json(headers):
        raise MediaTypeRefused(
            "Only JSON is accepted here.", next_step=f"Send it with Content-Type: {JSON}."
        )


def names_this_machine(hosts: list[str]) -> bool:
    """Whether the Host headers of a request are one that means loopback, with any port."""
    try:
        (host,) = hosts
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    return parts.netloc == host and "@" not in host and is_loopback(parts.hostname or "")


def _shows(key: SecretStr, headers: Headers) -> bool:
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    expected = key.get_secret_value().encode()
    same = hmac.compare_digest(shown.strip().encode(), expected)
    return same and scheme.lower() == "bearer"


def _is_json(headers: Headers) -> bool:
    """Whether the body is said to be JSON, or nothing is said by something that is no web page:
    a page can leave the type out too, but not its origin."""
    said = headers.get("content-type")
    if said is None:
        return "origin" not in headers
    return said.partition(";")[0].strip().lower() == JSON
