"""Who has an account, and who is signed in: pages of a project's accounts with their sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from dizuo.access import session_store, sessions
from dizuo.access.account_store import AccountRow, to_account
from dizuo.access.accounts import AccountNotFound
from dizuo.access.model import Account
from dizuo.access.session_store import ConsoleSessionRow
from dizuo.core.clock import Clock, now_ms


@dataclass(frozen=True, slots=True)
class Presence:
    """The sessions that an account has open: how many, since when, and when one was last used."""

    num_sessions: int
    since_ms: int
    seen_ms: int


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Some accounts of a project, by name, with the sessions of those who have any, by account id;
    `num_accounts` are all that the search found."""

    accounts: tuple[Account, ...]
    presence: Mapping[str, Presence]
    num_accounts: int


def page(
    session: Session,
    project_id: str,
    search: str = "",
    *,
    limit: int,
    offset: int = 0,
    clock: Clock = now_ms,
) -> PeoplePage:
    """Accounts whose names hold `search`, by name, disabled ones too."""
    query = select(AccountRow).where(AccountRow.project_id == project_id)
    if search:
        query = query.where(AccountRow.name.contains(search.lower(), autoescape=True))
    number = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = session.scalars(query.order_by(AccountRow.name).limit(limit).offset(offset))
    accounts = tuple(to_account(row) for row in rows)
    return PeoplePage(accounts, _presence(session, accounts, clock()), number)


def _presence(session: Session, accounts: Sequence[Account], now: int) -> Mapping[str, Presence]:
    found = session.execute(_open_sessions([one.id for one in accounts], now))
    return {whose: Presence(number, since, seen) for whose, number, since, seen in found}


def _open_sessions(account_ids: Sequence[str], now: int) -> Select[str, int, int, int]:
    return (
        select(
            ConsoleSessionRow.account_id,
            func.count(),
            func.min(ConsoleSessionRow.created_ms),
            func.max(ConsoleSessionRow.seen_ms),
        )
        .where(
            ConsoleSessionRow.account_id.in_(account_ids),
            session_store.live(now - sessions.OLD_MS, now - sessions.IDLE_MS),
        )
        .group_by(ConsoleSessionRow.account_id)
    )


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that has not ended: when somebody signed in, and when it was last used."""

    id: str
    since_ms: int
    seen_ms: int


def show(session: Session, project_id: str, name: str) -> Account:
    """One account of a project.

    Raises:
        AccountNotFound: it has none of that name.
    """
    query = select(AccountRow).where(AccountRow.project_id == project_id, AccountRow.name == name)
    row = session.scalar(query)
    if row is None:
        raise AccountNotFound(
            "There is no account of this name.", next_step="See dizuo account ls."
        )
    return to_account(row)


def open_sessions(
    session: Session, account: Account, *, limit: int, clock: Clock = now_ms
) -> list[OpenSession]:
    """The sessions that an account has open, the newest first."""
    now = clock()
    query = (
        select(ConsoleSessionRow.id, ConsoleSessionRow.created_ms, ConsoleSessionRow.seen_ms)
        .where(
            ConsoleSessionRow.account_id == account.id,
            session_store.live(now - sessions.OLD_MS, now - sessions.IDLE_MS),
        )
        .order_by(ConsoleSessionRow.created_ms.desc())
        .limit(limit)
    )
    return [OpenSession(key, since, seen) for key, since, seen in session.execute(query)]
