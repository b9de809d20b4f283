"""`/api/v1/tokens`: parse and delegate."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dizuo.access import tokens
from dizuo.access.http import Admin, DatabaseDep
from dizuo.access.model import NAME_PATTERN
from dizuo.access.tokens import Token

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])


class TokenBody(BaseModel):
    """Who shall get a token, and what it may do."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$")]
    role: Literal["reader", "builder", "releaser", "admin", "registry"]


def _as_json(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "role": token.role_word,
        "created_ms": token.created_ms,
        "revoked_ms": token.revoked_ms,
    }


@router.get("")
def listing(caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Every token, oldest first; secrets are not kept and cannot be shown."""
    with database.reading() as session:
        return {"items": [_as_json(one) for one in tokens.listing(session, caller.project_id)]}


@router.post("", status_code=201)
def create(body: TokenBody, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Make a token; this answer is the only place where its secret appears."""
    with database.transaction() as session:
        secret = tokens.create(session, caller, body.name, tokens.role_of(body.role))
    return {"name": body.name, "role": body.role, "token": secret}


@router.delete("/{name}")
def revoke(name: str, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Make a token worthless from now on."""
    with database.transaction() as session:
        num_revoked = tokens.revoke(session, caller, name)
    return {"name": name, "num_revoked": num_revoked}
