"""Pictures of a dataset's rows, whole and small."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dizuo.console.elements.pictures import SmallPictures, picture_found, small_picture
from dizuo.console.parts import Parts
from dizuo.core.numbers import VersionNumber
from dizuo.datasets import service
from dizuo.datasets.names import DatasetRef
from dizuo.datasets.searching import find_row

router = APIRouter()


def address_of(name: str, version: int, row_digest: str, column: str, *, whole: bool) -> str:
    """Where a picture of a row is, whole or small."""
    kind = "whole" if whole else "small"
    return f"/data/{quote(name)}/{version}/{kind}/{row_digest}?column={quote(column)}"


@router.get("/data/{name}/{version}/small/{digest}")
async def small(
    request: Request, name: str, version: VersionNumber, digest: str, column: str
) -> Response:
    """A small picture of a row."""
    kept: SmallPictures = request.app.state.small_pictures

    def find(parts: Parts, project_id: str) -> object:
        key = (project_id, name, str(version), digest, column)
        picture = kept.get(key)
        if picture is None:
            value = _value(parts, DatasetRef(project_id, name, version), digest, column)
            picture = small_picture(value) if isinstance(value, bytes) else None
            if picture is not None:
                kept.keep(key, picture)
        return picture

    return await picture_found(request, find)


@router.get("/data/{name}/{version}/whole/{digest}")
async def whole(
    request: Request, name: str, version: VersionNumber, digest: str, column: str
) -> Response:
    """A picture of a row, byte for byte."""

    def find(parts: Parts, project_id: str) -> object:
        return _value(parts, DatasetRef(project_id, name, version), digest, column)

    return await picture_found(request, find)


def _value(parts: Parts, ref: DatasetRef, digest: str, column: str) -> object:
    with parts.database.reading() as session:
        version = service.find(session, ref)
    row = find_row(version.pin, digest)
    return row.columns.get(column) if row else None
