"""The work behind the import page: looking at an upload, and adding its rows; and their routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from dizuo.access.model import Principal, Role
from dizuo.console.data.import_wish import IMPORT, Wish, draft, faults
from dizuo.console.elements.pictures import picture_answer, picture_type, small_picture
from dizuo.console.parts import Parts
from dizuo.console.sentences import error_sentence
from dizuo.console.visit import CURRENT, signed_in
from dizuo.console.work import Work, Works
from dizuo.core.errors import DizuoError
from dizuo.datasets import rehearsing, service, uploads
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.importing.base import Format
from dizuo.datasets.model import Addition, Draft
from dizuo.datasets.rehearsing import Rehearsal

router = APIRouter()
_UNLIMITED = 1 << 62
"""Uploads count their own bytes."""


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """A picture of a row that was looked at: its number among those of the preview."""

    index: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What would come of an import: the figures, the first rows, and their pictures as PNG."""

    told: Rehearsal
    rows: tuple[Mapping[str, Any], ...]
    pictures: tuple[bytes, ...]


def look(parts: Parts, asked: Draft, source: Path, form: Format, work: Work) -> Preview:
    """Rehearse an import; of pictures only small ones are kept."""
    told = rehearsing.rehearse(
        warehouse_of(parts),
        asked,
        source,
        form,
        rehearsing.folder_of(parts.home),
        report=work.report,
        wanted=work.wanted,
    )
    pictures: list[bytes] = []
    rows = [
        {name: _kept(value, pictures) for name, value in row.columns.items()} for row in told.rows
    ]
    return Preview(replace(told, rows=()), tuple(rows), tuple(pictures))


def _kept(value: Any, pictures: list[bytes]) -> Any:
    small = small_picture(value) if picture_type(value) else None
    if small is None:
        return value[:1] if isinstance(value, bytes) else value
    pictures.append(small)
    return SmallPicture(len(pictures) - 1)


def warehouse_of(parts: Parts) -> Warehouse:
    """Where the hub's datasets live."""
    return Warehouse(parts.database, service.root_of(parts.home))


def _caller() -> Principal:
    """Who asks, if they may build.

    Raises:
        RoleMissing: they may not.
    """
    principal = signed_in().principal
    principal.require(Role.BUILDER)
    return principal


@router.put(f"{IMPORT}/upload", max_body_size=_UNLIMITED)
async def upload(request: Request) -> Response:
    """Keep the request's raw body as it comes; answers its digest, or a sentence."""
    parts: Parts = request.app.state.parts
    try:
        _caller()
        uploads.check_announced(request.headers.get("content-length"))
        kept = await uploads.receive(request.stream(), parts.home)
    except DizuoError as error:
        sentence = error_sentence(CURRENT.get().words, error)
        return JSONResponse({"message": sentence}, error.http_status)
    except ClientDisconnect:
        return Response(status_code=400)  # cancelled: nobody reads this, and nothing was kept
    return JSONResponse(kept.as_dict(), 201)


@router.post(f"{IMPORT}/add")
async def add(request: Request, wish: Annotated[Wish, Form()]) -> Response:
    """Begin to add the rows of an upload, and show how it goes; with a fault, the form again."""
    parts: Parts = request.app.state.parts
    works = cast(Works, request.app.state.works)
    try:
        caller = _caller()
        source = uploads.upload_path(parts.home, wish.upload)
        asked = await run_in_threadpool(_draft, parts, wish, caller)
    except DizuoError:
        asked = None  # the page says what it is
    if asked is None:
        return RedirectResponse(wish.address(checked=1), 303)

    def do(work: Work) -> Addition:
        return service.import_file(
            warehouse_of(parts),
            asked,
            source,
            Format(wish.format),
            caller.actor,
            report=work.report,
            wanted=work.wanted,
        )

    work = works.start(caller.project_id, f"add:{asked.name}:{asked.origin}", do)
    return RedirectResponse(wish.address(work=work.id), 303)


def _draft(parts: Parts, wish: Wish, caller: Principal) -> Draft | None:
    with parts.database.reading() as session:
        if faults(wish, session, caller.project_id):
            return None
        return draft(wish, session, caller.project_id)


@router.post(f"{IMPORT}/stop")
async def stop(
    request: Request,
    work: Annotated[str, Form(max_length=64)] = "",
    back: Annotated[str, Form(max_length=20_000)] = "",
) -> Response:
    """Stop an import that is still being read."""
    works = cast(Works, request.app.state.works)
    found = works.find(_caller().project_id, work)
    if found is not None:
        found.stop()
    return RedirectResponse(f"{IMPORT}?{back}", 303)


@router.get(f"{IMPORT}/picture")
async def picture(request: Request, work: str, index: int) -> Response:
    """A picture of a preview."""
    works = cast(Works, request.app.state.works)
    found = works.find(_caller().project_id, work)
    result = found.standing.result if found else None
    if not isinstance(result, Preview) or not 0 <= index < len(result.pictures):
        return picture_answer(None)
    return picture_answer(result.pictures[index])
