"""Pictures of datasets: what bytes are one, small ones of them, and their addresses.

The gate has asked for the session; here the project is asked for. A browser keeps a picture for a
while, the hub the small ones that were made last.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from PIL import Image
from starlette.concurrency import run_in_threadpool

from dizuo.console.parts import Parts
from dizuo.console.visit import CURRENT
from dizuo.core.errors import DizuoError
from dizuo.core.numbers import VersionNumber
from dizuo.datasets import service
from dizuo.datasets.names import DatasetRef
from dizuo.datasets.searching import find_row

router = APIRouter()
SIDE = 160
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}
_MAX_PIXELS = 64_000_000
_NUM_KEPT = 1000
_KEPT = {"Cache-Control": "private, max-age=3600"}


def picture_type(value: Any) -> str | None:
    """The media type of a picture's bytes; None for anything else."""
    if not isinstance(value, bytes):
        return None
    if value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES.items() if value.startswith(start)), None)


def address_of(name: str, version: int, row_digest: str, column: str, *, whole: bool) -> str:
    """Where a picture of a row is, whole or small."""
    kind = "whole" if whole else "small"
    return f"/data/{quote(name)}/{version}/{kind}/{row_digest}?column={quote(column)}"


def small_picture(data: bytes) -> bytes | None:
    """A picture that fits a square of SIDE, as PNG; None where it cannot be read."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > _MAX_PIXELS:
                return None
            image.draft("RGB", (SIDE * 2, SIDE * 2))
            small = image.convert("RGBA" if image.has_transparency_data else "RGB")
            small.thumbnail((SIDE, SIDE))
            stream = io.BytesIO()
            small.save(stream, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return stream.getvalue()


class SmallPictures:
    """The small pictures that were made last. Used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], bytes] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> bytes | None:
        """One that is kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: tuple[str, ...], picture: bytes) -> None:
        """Keep one, and let go of the one that nobody wanted for longest."""
        with self._lock:
            self._kept[key] = picture
            while len(self._kept) > _NUM_KEPT:
                self._kept.popitem(last=False)


@router.get("/data/{name}/{version}/small/{digest}")
async def small(
    request: Request, name: str, version: VersionNumber, digest: str, column: str
) -> Response:
    """A small picture of a row."""
    kept: SmallPictures = request.app.state.small_pictures
    ref = DatasetRef(_project_id(), name, version)
    key = (ref.project, name, str(version), digest, column)

    def make() -> bytes | None:
        found = kept.get(key)
        if found is None:
            data = _find(request.app.state.parts, ref, digest, column)
            found = small_picture(data) if data is not None else None
            if found is not None:
                kept.keep(key, found)
        return found

    return picture_answer(await run_in_threadpool(make), "image/png")


@router.get("/data/{name}/{version}/whole/{digest}")
async def whole(
    request: Request, name: str, version: VersionNumber, digest: str, column: str
) -> Response:
    """A picture of a row, byte for byte."""
    ref = DatasetRef(_project_id(), name, version)
    data = await run_in_threadpool(_find, request.app.state.parts, ref, digest, column)
    return picture_answer(data, picture_type(data))


def picture_answer(data: bytes | None, kind: str | None) -> Response:
    """A picture for a browser; where there is none, it says so."""
    if data is None or kind is None:
        return PlainTextResponse("There is no such picture.", 404)
    return Response(data, media_type=kind, headers=_KEPT)


def _project_id() -> str:
    person = CURRENT.get().person
    assert person is not None, "the gate lets nobody else in"
    return person.principal.project_id


def _find(parts: Parts, ref: DatasetRef, digest: str, column: str) -> bytes | None:
    try:
        with parts.database.reading() as session:
            version = service.find(session, ref)
        row = find_row(version.pin, digest)
    except DizuoError:
        return None
    value = row.columns.get(column) if row else None
    return value if isinstance(value, bytes) else None
