"""`/edge/v1` for agents: bound the body, parse, delegate.

Bodies are counted while they arrive and refused before they are parsed; whoever has no credential
is refused before a byte of the body is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar, cast

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from dizuo.access.http import DatabaseDep, Site
from dizuo.core.errors import InvalidInput, TooLarge
from dizuo.edge.wire import (
    MAX_CHECK_IN_BYTES,
    MAX_UPLOAD_BYTES,
    Body,
    CheckIn,
    CheckInReply,
    EnrolReply,
    EnrolRequest,
    SampleReceipt,
    SampleUpload,
)
from dizuo.sites import samples, service

router = APIRouter(prefix="/edge/v1", tags=["edge"])

_Parsed = TypeVar("_Parsed", bound=Body)
_LONGEST_PLACE = 80


class BodyTooLarge(TooLarge):
    """More bytes than a body of this address may have."""

    code = "body_too_large"


def bounded(limit_bytes: int) -> Callable[[Request], Awaitable[bytes]]:
    """A dependency: the request's body, refused as soon as it has more than `limit_bytes`."""

    async def read(request: Request) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit_bytes:
            raise _too_large(limit_bytes)
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > limit_bytes:
                raise _too_large(limit_bytes)
        return bytes(body)

    return read


SmallBody = Annotated[bytes, Depends(bounded(MAX_CHECK_IN_BYTES))]
LargeBody = Annotated[bytes, Depends(bounded(MAX_UPLOAD_BYTES))]


@router.post("/enrol")
def enrol(body: SmallBody, database: DatabaseDep) -> EnrolReply:
    """Let a site in against its join secret."""
    request = parse(EnrolRequest, body)
    with database.transaction() as session:
        return service.enrol(session, request)


@router.post("/check-in")
def check_in(site: Site, body: SmallBody, request: Request, database: DatabaseDep) -> CheckInReply:
    """Hear from a site and tell it what it shall run."""
    said = parse(CheckIn, body)
    poll_seconds = cast(float, request.app.state.settings.poll_seconds)
    with database.transaction() as session:
        return service.check_in(session, site.name, said, poll_seconds, project_id=site.project_id)


@router.post("/samples")
def take_samples(
    site: Site, body: LargeBody, request: Request, database: DatabaseDep
) -> SampleReceipt:
    """Take in what a site returned; sending it again is harmless."""
    upload = parse(SampleUpload, body)
    home = cast(Path, request.app.state.home)
    return samples.receive(database, home, site.name, upload.samples, project_id=site.project_id)


def parse(kind: type[_Parsed], body: bytes) -> _Parsed:
    """A body of `/edge/v1`.

    Raises:
        InvalidInput: it is not JSON, or not of this kind; names the first place that is wrong.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(
            f"The request is wrong at {_place(first['loc'])}: {reason}.",
            next_step="Check that hub and agent are of versions that fit.",
        ) from error


def _place(steps: Sequence[str | int]) -> str:
    """Where in a body; its keys are the sender's own words, and may be of any length and sign."""
    place = ".".join(str(step) for step in steps)[:_LONGEST_PLACE] or "its start"
    return place if place.isprintable() else repr(place)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request is larger than {limit_bytes} bytes.",
        next_step="Send less at once.",
    )
