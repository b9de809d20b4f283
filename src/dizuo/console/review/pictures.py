"""Pictures of returned samples."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dizuo.console.elements.pictures import picture_found
from dizuo.console.parts import Parts
from dizuo.datasets import samples

router = APIRouter()


@router.get("/review/samples/{key}/image")
async def picture(key: str, request: Request) -> Response:
    """The picture of a sample, as the site sent it."""

    def find(parts: Parts, project_id: str) -> object:
        with parts.database.reading() as session:
            sample = samples.find(session, key, project_id)
        return samples.read_row(parts.home, sample.digest).get("image")

    return await picture_found(request, find)
