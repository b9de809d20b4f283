"""Which pages are open by which session; pages of a session that has ended are sent to sign in."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import quote

from fastapi import Request
from nicegui import Client
from starlette.concurrency import run_in_threadpool

from dizuo.access import sessions
from dizuo.access.model import Person
from dizuo.access.sessions import SessionEnded
from dizuo.console.gate import SIGN_IN
from dizuo.core.errors import DizuoError
from dizuo.database.engine import Database

_LOOK_SECONDS = 10.0
_logger = logging.getLogger(__name__)


def sign_in_address(request: Request) -> str:
    """Where to sign in so as to come back to a page."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{SIGN_IN}?next={quote(request.url.path + query)}"


class Presence:
    """The open pages. Used from the console's event loop alone.

    Args:
        database: where sessions are kept.
        look_seconds: how long after one look `watch` takes the next.
    """

    def __init__(self, database: Database, look_seconds: float = _LOOK_SECONDS) -> None:
        self._database = database
        self._look_seconds = look_seconds
        self._open: dict[str, tuple[Client, str]] = {}

    def enter(self, client: Client, secret: str) -> None:
        """Note that a page is open by a session, until it is closed."""
        self._open[client.id] = (client, secret)
        client.on_delete(lambda: self._open.pop(client.id, None))

    async def watch(self) -> None:
        """Look again and again whose session has ended."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self.look()
            except DizuoError as error:
                _logger.warning("sessions of open pages could not be read: %s", error)
            except Exception:  # the watch's edge: logged, and looked at again
                _logger.exception("pages of ended sessions could not be looked for")

    async def look(self) -> None:
        """Send the pages of ended sessions to sign in."""
        pages = list(self._open.values())
        ended = await run_in_threadpool(self._ended, {secret for _, secret in pages})
        for client, secret in pages:
            if secret in ended and not client.is_deleted:
                client.open(sign_in_address(client.request))

    def _ended(self, secrets: set[str]) -> set[str]:
        known: dict[str, Person] = {}
        with self._database.reading() as session:
            for secret in secrets:
                try:
                    known[secret] = sessions.recognise(session, secret)
                except SessionEnded:
                    continue
        return secrets - known.keys()
