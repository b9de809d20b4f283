"""The row of a person's account: of the password, only its argon2id hash is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import String, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.access.model import Account, Language, Role, Theme
from dizuo.database.tables import Id, Millis, Name, ProjectId, Row


class AccountRow(Row):
    """An account. `password_ms` is when its password was last chosen; making the same password's
    hash anew does not change it."""

    __tablename__ = "accounts"

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    name: Mapped[Name] = mapped_column(unique=True)
    role: Mapped[int]
    password_hash: Mapped[str] = mapped_column(String(255))
    password_ms: Mapped[Millis]
    language: Mapped[str] = mapped_column(String(8))
    theme: Mapped[str] = mapped_column(String(8))
    created_ms: Mapped[Millis]
    disabled_ms: Mapped[Millis | None]


def to_account(row: AccountRow) -> Account:
    """The noun of a row."""
    return Account(
        id=row.id,
        name=row.name,
        project_id=row.project_id,
        role=Role(row.role),
        language=cast(Language, row.language),
        theme=cast(Theme, row.theme),
        created_ms=row.created_ms,
        disabled_ms=row.disabled_ms,
    )


def add(session: Session, values: Mapping[str, Any]) -> bool:
    """Write an account unless its name is taken; returns whether it was not."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert(AccountRow) if on_postgresql else sqlite.insert(AccountRow)
    query = insert.values(**values).on_conflict_do_nothing(index_elements=["name"])
    return session.execute(query.returning(AccountRow.id)).first() is not None


def by_name(session: Session, name: str) -> AccountRow | None:
    """The account of that name, of whichever project."""
    return session.scalar(select(AccountRow).where(AccountRow.name == name))


def get(session: Session, account_id: str) -> AccountRow:
    """The account of that id, locked where the database can."""
    return session.get_one(AccountRow, account_id, with_for_update=True, populate_existing=True)


def of_project(session: Session, project_id: str, *, lock: bool = False) -> list[AccountRow]:
    """Every account of a project, oldest first; `lock` locks them where the database can."""
    query = select(AccountRow).where(AccountRow.project_id == project_id).order_by(AccountRow.id)
    query = query.execution_options(populate_existing=True)
    return list(session.scalars(query.with_for_update() if lock else query))


def names_of_role(session: Session, project_id: str, role: Role, *, limit: int) -> list[str]:
    """The names of accounts of a project that have this role and are not disabled."""
    query = select(AccountRow.name).where(
        AccountRow.project_id == project_id,
        AccountRow.role == int(role),
        AccountRow.disabled_ms.is_(None),
    )
    return list(session.scalars(query.order_by(AccountRow.name).limit(limit)))


def has_any(session: Session) -> bool:
    """Whether there is any account."""
    return session.scalar(select(AccountRow.id).limit(1)) is not None


def projects(session: Session) -> set[str]:
    """The projects that have accounts."""
    return set(session.scalars(select(AccountRow.project_id).distinct()))
