"""`/api/v1/accounts`: parse and delegate. Passwords are hashed before a transaction begins."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, SecretStr

from dizuo.access import accounts
from dizuo.access.http import Admin, DatabaseDep
from dizuo.access.model import Account, Role
from dizuo.access.passwords import hashed

router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"])

RoleWord = Literal["reader", "builder", "releaser", "admin"]


class RoleBody(BaseModel):
    """What an account may do."""

    model_config = ConfigDict(extra="forbid")

    role: RoleWord

    @property
    def as_role(self) -> Role:
        """The role of the word."""
        return Role[self.role.upper()]


class PasswordBody(BaseModel):
    """The password that somebody shall sign in with."""

    model_config = ConfigDict(extra="forbid")

    password: SecretStr


class AccountBody(RoleBody, PasswordBody):
    """Who shall get an account."""

    name: str


def _as_json(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "role": account.role.word,
        "language": account.language,
        "theme": account.theme,
        "created_ms": account.created_ms,
        "disabled_ms": account.disabled_ms,
    }


@router.get("")
def listing(caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Every account, oldest first, disabled ones too."""
    with database.reading() as session:
        return {"items": [_as_json(one) for one in accounts.listing(session, caller.project_id)]}


@router.post("", status_code=201)
def create(body: AccountBody, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Make an account; its name and password are what somebody signs in with at the console."""
    password = hashed(body.name, body.password.get_secret_value())
    with database.transaction() as session:
        return _as_json(accounts.create(session, caller, body.name, body.as_role, password))


@router.put("/{name}/role")
def set_role(name: str, body: RoleBody, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Give an account another role, which counts at once."""
    with database.transaction() as session:
        return _as_json(accounts.set_role(session, caller, name, body.as_role))


@router.put("/{name}/password")
def set_password(
    name: str, body: PasswordBody, caller: Admin, database: DatabaseDep
) -> dict[str, Any]:
    """Give an account another password and end its sessions."""
    password = hashed(name, body.password.get_secret_value())
    with database.transaction() as session:
        return _as_json(accounts.set_password(session, caller, name, password))


@router.post("/{name}/disable")
def disable(name: str, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Let nobody in by an account any more, and end its sessions."""
    with database.transaction() as session:
        return _as_json(accounts.disable(session, caller, name))


@router.post("/{name}/enable")
def enable(name: str, caller: Admin, database: DatabaseDep) -> dict[str, Any]:
    """Let an account in again, with the password it had."""
    with database.transaction() as session:
        return _as_json(accounts.enable(session, caller, name))
