"""`/preferences`: the language and the colours that a person chose, kept with the account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from dizuo.access import accounts
from dizuo.console.messages import Language
from dizuo.console.parts import Parts
from dizuo.console.signing_in import inside
from dizuo.console.visit import CURRENT, Theme, signed_in

router = APIRouter()


@router.post("/preferences")
async def prefer(
    request: Request,
    language: Annotated[Language | None, Form()] = None,
    theme: Annotated[Theme | None, Form()] = None,
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Keep what was chosen and show the page again."""
    parts: Parts = request.app.state.parts
    person = signed_in()
    visit = CURRENT.get()

    def keep() -> None:
        with parts.database.transaction() as session:
            accounts.set_preferences(
                session, person, (language or visit.language).value, (theme or visit.theme).value
            )

    await run_in_threadpool(keep)
    return RedirectResponse(inside(next), 303)
