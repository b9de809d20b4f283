"""Pictures of returned samples, for people of their project."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from dizuo.console.parts import Parts
from dizuo.console.visit import CURRENT
from dizuo.core.errors import DizuoError
from dizuo.datasets import samples

router = APIRouter()
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_CACHE = "private, max-age=3600"  # a digest's picture never changes


@router.get("/review/samples/{key}/image")
def picture(key: str, request: Request) -> Response:
    """The picture of a sample, as the site sent it."""
    person = CURRENT.get().person
    assert person is not None, "the gate lets nobody else in"
    parts: Parts = request.app.state.parts
    try:
        with parts.database.reading() as session:
            sample = samples.find(session, key, person.principal.project_id)
        data = samples.read_row(parts.home, sample.digest).get("image")
    except DizuoError as error:
        return PlainTextResponse(error.message, error.http_status)
    kind = kind_of(data)
    if kind is None:
        return PlainTextResponse("This sample holds no PNG or JPEG.", 404)
    return Response(data, media_type=kind, headers={"Cache-Control": _CACHE})


def kind_of(data: object) -> str | None:
    """The media type of a picture that browsers may be given; None of anything else."""
    if not isinstance(data, bytes):
        return None
    return next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
