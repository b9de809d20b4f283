"""People's accounts: made, changed and disabled by admins; somebody can always manage the hub.

Accounts are never deleted, because the audit log names people by them.
"""

from __future__ import annotations

from typing import Any, get_args

from sqlalchemy.orm import Session

from dizuo.access import account_store as store
from dizuo.access import sessions, throttle, tokens
from dizuo.access.account_store import AccountRow, to_account
from dizuo.access.model import (
    NAME_PATTERN,
    Account,
    Language,
    Person,
    Principal,
    Role,
    Theme,
)
from dizuo.access.passwords import HashedPassword
from dizuo.access.tokens import LastAdmin
from dizuo.audit import service as audit
from dizuo.core.clock import Clock, now_ms
from dizuo.core.errors import Conflict, InvalidInput, NotFound
from dizuo.core.ids import new_id


class AccountExists(Conflict):
    """An account of this hub has this name already, perhaps a disabled one."""

    code = "account_exists"


class AccountNotFound(NotFound):
    """The project has no account of this name."""

    code = "account_not_found"


def create(
    session: Session,
    caller: Principal,
    name: str,
    role: Role,
    password: HashedPassword,
    *,
    clock: Clock = now_ms,
) -> Account:
    """Make an account in the caller's project.

    Raises:
        AccountExists: the hub has an account of that name, in whichever project.
        InvalidInput: it cannot be a name.
    """
    require_name(name)
    account = Account(new_id(), name, caller.project_id, role, "", "auto", clock(), None)
    values = {
        "id": account.id,
        "project_id": account.project_id,
        "name": name,
        "role": int(role),
        "password_hash": password.encoded,
        "password_ms": account.created_ms,
        "language": account.language,
        "theme": account.theme,
        "created_ms": account.created_ms,
    }
    if not store.add(session, values):
        raise AccountExists(
            f"There is an account named {name} already.",
            next_step="Choose another name; see dizuo account ls.",
        )
    _record(session, caller, "account.created", account, {"role": role.word})
    return account


def require_name(name: str) -> None:
    """Refuse what cannot be the name of an account.

    Raises:
        InvalidInput: it cannot.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise InvalidInput(
            "This cannot be the name of an account.",
            next_step="Use lower-case letters, digits, dots, underscores and hyphens, at most 63.",
        )


def set_password(
    session: Session,
    caller: Principal,
    name: str,
    password: HashedPassword,
    *,
    clock: Clock = now_ms,
) -> Account:
    """Give an account another password and end its sessions; tries at the old one are forgotten.

    Raises:
        AccountNotFound: there is none of that name.
    """
    row, account = _found(_locked(session, caller), name)
    row.password_hash, row.password_ms = password.encoded, clock()
    throttle.forgive(session, name)
    sessions.end_all(session, caller.actor, account, clock=clock)
    _record(session, caller, "account.password_set", account)
    return account


def set_role(session: Session, caller: Principal, name: str, role: Role) -> Account:
    """Give an account another role; it counts at once, in sessions too.

    Raises:
        AccountNotFound: there is none of that name.
        LastAdmin: nobody could manage the hub any more.
    """
    row, account = _found(_locked(session, caller), name)
    if role is account.role:
        return account
    if role is not Role.ADMIN:
        _require_another_admin(session, account)
    row.role = int(role)
    detail = {"role": role.word, "before": account.role.word}
    _record(session, caller, "account.role_set", account, detail)
    return to_account(row)


def disable(session: Session, caller: Principal, name: str, *, clock: Clock = now_ms) -> Account:
    """Let nobody in by an account any more, and end its sessions.

    Raises:
        AccountNotFound: there is none of that name.
        LastAdmin: nobody could manage the hub any more.
    """
    row, account = _found(_locked(session, caller), name)
    if row.disabled_ms is not None:
        return account
    _require_another_admin(session, account)
    row.disabled_ms = clock()
    sessions.end_all(session, caller.actor, account, clock=clock)
    _record(session, caller, "account.disabled", account)
    return to_account(row)


def enable(session: Session, caller: Principal, name: str) -> Account:
    """Let an account in again, with the password it had; its sessions stay ended.

    Raises:
        AccountNotFound: there is none of that name.
    """
    row, account = _found(_locked(session, caller), name)
    if row.disabled_ms is None:
        return account
    row.disabled_ms = None
    _record(session, caller, "account.enabled", account)
    return to_account(row)


def listing(session: Session, project_id: str) -> list[Account]:
    """Every account of a project, oldest first, disabled ones too."""
    return [to_account(row) for row in store.of_project(session, project_id)]


def has_any(session: Session) -> bool:
    """Whether the hub has an account in any project."""
    return store.has_any(session)


def projects(session: Session) -> set[str]:
    """The projects that somebody has an account in."""
    return store.projects(session)


def set_preferences(session: Session, person: Person, language: Language, theme: Theme) -> Account:
    """What somebody wants the console to speak and to look like.

    Raises:
        InvalidInput: there is no such language or theme.
    """
    for value, kind in ((language, Language), (theme, Theme)):
        if value not in get_args(kind):
            offered = ", ".join(one or "(empty)" for one in get_args(kind))
            raise InvalidInput(
                f"{value[:20]!r} is not offered.", next_step=f"Choose one of: {offered}."
            )
    row = store.get(session, person.account_id)
    if (row.language, row.theme) != (language, theme):
        row.language, row.theme = language, theme
        detail = {"language": language, "theme": theme}
        _record(session, person.principal, "account.preferences_set", to_account(row), detail)
    return to_account(row)


def _locked(session: Session, caller: Principal) -> list[AccountRow]:
    """All accounts of the caller's project: what one may become depends on the others."""
    return store.of_project(session, caller.project_id, lock=True)


def _found(rows: list[AccountRow], name: str) -> tuple[AccountRow, Account]:
    for row in rows:
        if row.name == name:
            return row, to_account(row)
    raise AccountNotFound("There is no account of this name.", next_step="See dizuo account ls.")


def _require_another_admin(session: Session, account: Account) -> None:
    """Refuse to take away the last one who can manage the hub, by an account or by a token."""
    if account.name == last_admin(session, account.project_id):
        raise LastAdmin(
            f"{account.name} is the last admin account, and there is no admin token.",
            next_step="Make another first: dizuo account create NAME --role admin",
        )


def last_admin(session: Session, project_id: str) -> str:
    """The name of the only account that can manage a project, where no token can; or empty. It can
    neither be disabled nor be given another role."""
    admins = store.names_of_role(session, project_id, Role.ADMIN, limit=2)
    if len(admins) != 1 or tokens.has_admin(session, project_id):
        return ""
    return admins[0]


def _record(
    session: Session,
    caller: Principal,
    action: str,
    account: Account,
    detail: dict[str, Any] | None = None,
) -> None:
    subject = f"account:{account.name}"
    audit.record(session, caller.actor, action, subject, detail, project_id=account.project_id)
