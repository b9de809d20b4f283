"""Pictures that rows and samples hold: what bytes are one, small ones, and answers with them.

The gate has asked for the session; here the project is asked for. A browser keeps a picture for a
while, the hub the small ones that were made last.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import PlainTextResponse, Response
from PIL import Image
from starlette.concurrency import run_in_threadpool

from dizuo.console.parts import Parts
from dizuo.console.visit import signed_in
from dizuo.core.errors import DizuoError

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


def picture_type(value: object) -> str | None:
    """The media type of a picture's bytes; None for anything else."""
    if not isinstance(value, bytes):
        return None
    if value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES.items() if value.startswith(start)), None)


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


async def picture_found(request: Request, find: Callable[[Parts, str], object]) -> Response:
    """Answer a request with the picture that a function finds.

    Args:
        request: by somebody whom the gate let in.
        find: called in a worker thread with the console's parts and the project of who asks, which
            is the only one that it may look into; what it cannot find is no picture.
    """
    parts: Parts = request.app.state.parts
    project_id = signed_in().principal.project_id

    def found() -> object:
        try:
            return find(parts, project_id)
        except DizuoError:
            return None

    return picture_answer(await run_in_threadpool(found))


def picture_answer(value: object) -> Response:
    """A picture for a browser; where there is none, it says so."""
    kind = picture_type(value)
    if kind is None:
        return PlainTextResponse("There is no such picture.", 404)
    return Response(value, media_type=kind, headers=_KEPT)
