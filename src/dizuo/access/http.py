"""What routes use: who is calling, and which database to ask.

A hub's FastAPI app keeps its parts on `app.state`; routers of all rooms reach them through the
dependencies here, so that no room builds its own.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dizuo.access import service
from dizuo.access.model import Principal, Role, Surface
from dizuo.core.errors import DizuoError, InvalidInput, NotFound, TooLarge, Unauthenticated
from dizuo.database.engine import Database


class MethodRefused(InvalidInput):
    """The address exists, but not with this method."""

    code = "method_refused"
    http_status = 405


def database_of(request: Request) -> Database:
    """The hub's database."""
    return cast(Database, request.app.state.database)


async def _database(request: Request) -> Database:
    """As `database_of`. A dependency that asks nobody is async, so that it costs no thread."""
    return database_of(request)


DatabaseDep = Annotated[Database, Depends(_database)]


def secret_of(authorization: str) -> str:
    """The secret in an `Authorization` header: a bearer token, or the password of Basic."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:  # not base64, not ASCII, or not UTF-8 inside
            return ""
    return ""


def principal(surface: Surface) -> Callable[[Request, Database], Principal]:
    """A dependency that recognises the caller on `surface` or refuses with 401."""

    def recognise(request: Request, database: DatabaseDep) -> Principal:
        secret = secret_of(request.headers.get("authorization", ""))
        with database.reading() as session:
            return service.recognise(session, secret, surface)

    return recognise


def operator(role: Role) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency: the calling operator, refused with 403 below `role`."""

    async def check(caller: Annotated[Principal, Depends(principal(Surface.API))]) -> Principal:
        caller.require(role)
        return caller

    return check


Reader = Annotated[Principal, Depends(operator(Role.READER))]
Builder = Annotated[Principal, Depends(operator(Role.BUILDER))]
Releaser = Annotated[Principal, Depends(operator(Role.RELEASER))]
Admin = Annotated[Principal, Depends(operator(Role.ADMIN))]
Site = Annotated[Principal, Depends(principal(Surface.EDGE))]


def install_error_handler(app: FastAPI) -> None:
    """Make an app answer every expected error in the one JSON shape, with its class's status."""
    app.add_exception_handler(DizuoError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(Exception, _answer_unexpected)


def _answer_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DizuoError)
    return answer(error)


def answer(error: DizuoError) -> JSONResponse:
    """An expected error as every surface answers it."""
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    return JSONResponse(error.as_dict(), status_code=error.http_status, headers=headers)


def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: no such address, or a method the address has not."""
    assert isinstance(error, HTTPException)
    known = {404: NotFound, 405: MethodRefused, 413: TooLarge}.get(error.status_code, InvalidInput)
    refused = known(
        f"{request.method} {request.url.path[:200]}: {str(error.detail).rstrip('.')}.",
        next_step="See /api/v1/docs for what this hub answers.",
    )
    return JSONResponse(refused.as_dict(), status_code=error.status_code, headers=error.headers)


def _answer_unexpected(request: Request, _error: Exception) -> JSONResponse:
    """A fault of ours. The server logs the traceback; the caller gets one sentence."""
    fault = DizuoError(
        f"The hub failed while it answered {request.method} {request.url.path[:200]}.",
        next_step="Look into the hub's log; it holds the details.",
    )
    return _answer_error(request, fault)


def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    refused = InvalidInput(
        _what_is_wrong(error.errors()[0]),
        next_step="See /api/v1/docs for the form of this request.",
    )
    return _answer_error(request, refused)


def _what_is_wrong(first: Mapping[str, Any]) -> str:
    if first["type"] == "json_invalid":
        return "The request's body is not JSON."
    if tuple(first["loc"]) == ("body",):
        missing = first["type"] == "missing"
        return f"The request {'has no body' if missing else 'is not a JSON object'}."
    # A step in brackets is pydantic's own, of a field that may be of several types.
    where = ".".join(str(step) for step in first["loc"] if "[" not in str(step))
    reason = str(first["msg"]).removeprefix("Value error, ")
    return f"The request is wrong at {where}: {reason}."
