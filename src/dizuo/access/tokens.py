"""Operators' tokens: made, listed and revoked by an admin, and never the last way in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.access import service, store
from dizuo.access.model import Principal, Role, Surface
from dizuo.core.errors import Conflict, NotFound


class TokenExists(Conflict):
    """A live token has this name already."""

    code = "token_exists"


class TokenNotFound(NotFound):
    """No live token has this name."""

    code = "token_not_found"


class LastAdmin(Conflict):
    """Without this token nobody could manage the hub."""

    code = "last_admin"


@dataclass(frozen=True, slots=True)
class Token:
    """What may be known of a token; its secret is not kept."""

    name: str
    role: Role
    created_ms: int
    revoked_ms: int | None


def _live(session: Session, project_id: str) -> list[store.CredentialRow]:
    rows = store.live(session, Surface.API.value)
    return [row for row in rows if row.project_id == project_id]


def create(session: Session, caller: Principal, name: str, role: Role) -> str:
    """Make a token for `name` and return its secret, which is never shown again.

    Raises:
        TokenExists: somebody of that name has one.
    """
    if any(row.name == name for row in _live(session, caller.project_id)):
        raise TokenExists(
            f"There is a token named {name} already.",
            next_step=f"Choose another name, or revoke it: dizuo token revoke {name}",
        )
    return service.issue(
        session, caller.actor, Surface.API, name, role=role, project_id=caller.project_id
    )


def revoke(session: Session, caller: Principal, name: str) -> int:
    """Revoke the token of that name; returns how many credentials that were.

    Raises:
        TokenNotFound: there is none.
        LastAdmin: no other admin would be left.
    """
    live = _live(session, caller.project_id)
    if not any(row.name == name for row in live):
        raise TokenNotFound(
            f"There is no live token named {name}.", next_step="See dizuo token ls."
        )
    if not any(row.role == Role.ADMIN and row.name != name for row in live):
        raise LastAdmin(
            f"{name} is the last admin token.",
            next_step="Make another first: dizuo token create NAME --role admin",
        )
    return service.revoke(session, caller.actor, Surface.API, name, project_id=caller.project_id)


def listing(session: Session, project_id: str) -> list[Token]:
    """Every operator token of a project, oldest first, revoked ones too."""
    return [
        Token(row.name, Role(row.role), row.created_ms, row.revoked_ms)
        for row in store.every(session)
        if row.surface == Surface.API.value and row.project_id == project_id and row.role
    ]
