"""Issuing, recognising and revoking credentials.

A credential is `dz_<surface>_<43 characters>`: 256 random bits, so a plain SHA-256 at rest is
enough (there is nothing to guess), and looking one up by its hash leaks no timing.
"""

from __future__ import annotations

import secrets

from sqlalchemy.orm import Session

from dizuo.access import store
from dizuo.access.model import CredentialRefused, Principal, Role, Surface
from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT


def issue(
    session: Session,
    actor: str,
    surface: Surface,
    name: str,
    *,
    role: Role | None = None,
    project_id: str = DEFAULT_PROJECT,
) -> str:
    """Make a credential and return its secret, which is never shown again.

    Raises:
        ValueError: `surface` is the console's: its sessions are begun by signing in.
    """
    if surface is Surface.CONSOLE:
        raise ValueError("a session of the console is begun by signing in")
    secret = f"dz_{surface.value}_{secrets.token_urlsafe(32)}"
    row = store.CredentialRow(
        id=new_id(),
        project_id=project_id,
        surface=surface.value,
        name=name,
        role=None if role is None else int(role),
        secret_hash=sha256_bytes(secret.encode()),
        created_ms=now_ms(),
        revoked_ms=None,
    )
    session.add(row)
    detail = {"surface": surface.value, "role": role.word if role else ""}
    audit.record(
        session, actor, "credential.issued", f"credential:{name}", detail, project_id=project_id
    )
    return secret


def recognise(session: Session, secret: str, surface: Surface) -> Principal:
    """Whose credential `secret` is on `surface`.

    Raises:
        CredentialRefused: nobody's, or it is revoked or meant for another surface. The three are
            not told apart.
    """
    row = store.by_hash(session, sha256_bytes(secret.encode())) if secret else None
    if row is None or row.surface != surface.value or row.revoked_ms is not None:
        raise CredentialRefused(
            "This credential is missing or not accepted here.",
            next_step="Check which credential this address needs, and that it was not revoked.",
        )
    role = None if row.role is None else Role(row.role)
    return Principal(row.id, row.name, surface, row.project_id, role)


def revoke(
    session: Session,
    actor: str,
    surface: Surface,
    name: str,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> int:
    """Revoke every live credential of that name on that surface of a project; returns how many
    there were."""
    live = [
        row
        for row in store.by_name(session, surface.value, name)
        if row.revoked_ms is None and row.project_id == project_id
    ]
    for row in live:
        row.revoked_ms = now_ms()
    if live:
        detail = {"surface": surface.value, "num_revoked": len(live)}
        audit.record(
            session,
            actor,
            "credential.revoked",
            f"credential:{name}",
            detail,
            project_id=project_id,
        )
    return len(live)


def has_any(session: Session, surface: Surface) -> bool:
    """Whether any credential was ever issued on `surface`."""
    return any(row.surface == surface.value for row in store.every(session))
