"""Tokens of operators and registry clients: made, listed, revoked by admins; one is always left."""

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
    """Without this token or account nobody could manage the hub."""

    code = "last_admin"


REGISTRY_ROLE = "registry"
"""What people write for a token that only opens the registry: `skopeo copy --src-creds x:TOKEN`."""
_OF_REGISTRY = "token:"
"""Before the names of such tokens: sites have credentials for the registry too, under their own
names, which have no colon."""


@dataclass(frozen=True, slots=True)
class Token:
    """What may be known of a token; its secret is not kept. Without a role it opens the registry
    and nothing else."""

    name: str
    role: Role | None
    created_ms: int
    revoked_ms: int | None

    @property
    def role_word(self) -> str:
        """The role as people write it."""
        return self.role.word if self.role else REGISTRY_ROLE


def role_of(word: str) -> Role | None:
    """The role of a word; None is the registry's."""
    return None if word == REGISTRY_ROLE else Role[word.upper()]


def _live(session: Session, project_id: str) -> list[store.CredentialRow]:
    rows = [*store.live(session, Surface.API.value), *store.live(session, Surface.REGISTRY.value)]
    return [row for row in rows if row.project_id == project_id and _token(row)]


def _token(row: store.CredentialRow) -> Token | None:
    """The token that a credential is, if it is one: those of sites are not."""
    if row.surface == Surface.API.value and row.role:
        return Token(row.name, Role(row.role), row.created_ms, row.revoked_ms)
    if row.surface == Surface.REGISTRY.value and row.name.startswith(_OF_REGISTRY):
        return Token(row.name.removeprefix(_OF_REGISTRY), None, row.created_ms, row.revoked_ms)
    return None


def _named(rows: list[store.CredentialRow], name: str) -> list[store.CredentialRow]:
    return [row for row in rows if row.name in (name, _OF_REGISTRY + name)]


def create(session: Session, caller: Principal, name: str, role: Role | None) -> str:
    """Make a token for `name` and return its secret, which is never shown again.

    Without a role it is for the registry's surface only.

    Raises:
        TokenExists: somebody of that name has one.
    """
    if _named(_live(session, caller.project_id), name):
        raise TokenExists(
            f"There is a token named {name} already.",
            next_step=f"Choose another name, or revoke it: dizuo token revoke {name}",
        )
    if role is None:
        surface, name = Surface.REGISTRY, _OF_REGISTRY + name
    else:
        surface = Surface.API
    return service.issue(
        session, caller.actor, surface, name, role=role, project_id=caller.project_id
    )


def revoke(session: Session, caller: Principal, name: str) -> int:
    """Revoke the token of that name; returns how many credentials that were.

    Raises:
        TokenNotFound: there is none.
        LastAdmin: no other admin would be left.
    """
    live = _live(session, caller.project_id)
    found = _named(live, name)
    if not found:
        raise TokenNotFound(
            f"There is no live token named {name}.", next_step="See dizuo token ls."
        )
    others = [row for row in live if row not in found]
    if not any(row.role == Role.ADMIN for row in others):
        raise LastAdmin(
            f"{name} is the last admin token.",
            next_step="Make another first: dizuo token create NAME --role admin",
        )
    return sum(
        service.revoke(
            session, caller.actor, Surface(surface), stored, project_id=caller.project_id
        )
        for surface, stored in sorted({(row.surface, row.name) for row in found})
    )


def has_admin(session: Session, project_id: str) -> bool:
    """Whether a project has a live token of an admin."""
    return any(row.role == Role.ADMIN for row in _live(session, project_id))


def listing(session: Session, project_id: str) -> list[Token]:
    """Every token of a project, oldest first, revoked ones too."""
    rows = [row for row in store.every(session) if row.project_id == project_id]
    return [token for row in rows if (token := _token(row)) is not None]
