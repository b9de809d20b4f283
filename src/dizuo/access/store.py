"""The row of a credential: only its hash is kept."""

from __future__ import annotations

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Id, Millis, Name, ProjectId, Row


class CredentialRow(Row):
    """A credential. `secret_hash` is the SHA-256 of a secret of 256 random bits."""

    __tablename__ = "credentials"

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    surface: Mapped[Name]
    name: Mapped[Name]
    role: Mapped[int | None]
    secret_hash: Mapped[str] = mapped_column(String(71), unique=True)
    created_ms: Mapped[Millis]
    revoked_ms: Mapped[Millis | None]


def by_hash(session: Session, secret_hash: str) -> CredentialRow | None:
    """The credential with this hash."""
    return session.scalar(select(CredentialRow).where(CredentialRow.secret_hash == secret_hash))


def by_name(session: Session, surface: str, name: str) -> list[CredentialRow]:
    """Every credential of that name on one surface, revoked ones too."""
    query = select(CredentialRow).where(
        CredentialRow.surface == surface, CredentialRow.name == name
    )
    return list(session.scalars(query))


def live(session: Session, surface: str) -> list[CredentialRow]:
    """Every credential of one surface that is not revoked, locked where the database can."""
    query = select(CredentialRow).where(
        CredentialRow.surface == surface, CredentialRow.revoked_ms.is_(None)
    )
    return list(session.scalars(query.order_by(CredentialRow.id).with_for_update()))


def every(session: Session) -> list[CredentialRow]:
    """Every credential, oldest first."""
    return list(session.scalars(select(CredentialRow).order_by(CredentialRow.id)))
