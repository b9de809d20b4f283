"""What routes use: who is calling, and which database to ask.

A hub's FastAPI app keeps its parts on `app.state`; routers of all rooms reach them through the
dependencies here, so that no room builds its own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, cast

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from dizuo.access import service
from dizuo.access.model import Principal, Role, Surface
from dizuo.core.errors import DizuoError, InvalidInput, Unauthenticated
from dizuo.database.engine import Database


def database_of(request: Request) -> Database:
    """The hub's database."""
    return cast(Database, request.app.state.database)


DatabaseDep = Annotated[Database, Depends(database_of)]


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


def operator(role: Role) -> Callable[[Principal], Principal]:
    """A dependency: the calling operator, refused with 403 below `role`."""

    def check(caller: Annotated[Principal, Depends(principal(Surface.API))]) -> Principal:
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


def _answer_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DizuoError)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    return JSONResponse(error.as_dict(), status_code=error.http_status, headers=headers)


def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    refused = InvalidInput(
        f"The request is wrong at {where}: {first['msg']}.",
        next_step="See /api/v1/docs for the form of this request.",
    )
    return _answer_error(request, refused)
