"""What routes use: who is calling, and which database to ask.

A hub's FastAPI app keeps its parts on `app.state`; routers of all rooms reach them through the
dependencies here, so that no room builds its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, cast

from fastapi import Depends, Request

from dizuo.access import service
from dizuo.access.model import Principal, Role, Surface
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
        except (binascii.Error, UnicodeDecodeError):
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
