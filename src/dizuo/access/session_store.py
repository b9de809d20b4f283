"""The rows of signing in: sessions at the console, and how often names were tried."""

from __future__ import annotations

from typing import cast

from sqlalchemy import JSON, ColumnElement, CursorResult, String, and_, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.access.account_store import AccountRow
from dizuo.database.tables import Id, Millis, Row


class ConsoleSessionRow(Row):
    """A session. `secret_hash` is the SHA-256 of a secret of 256 random bits."""

    __tablename__ = "console_sessions"

    id: Mapped[Id]
    account_id: Mapped[str] = mapped_column(String(36), index=True)
    secret_hash: Mapped[str] = mapped_column(String(71), unique=True)
    created_ms: Mapped[Millis]
    seen_ms: Mapped[Millis]
    ended_ms: Mapped[Millis | None]


class SignInTriesRow(Row):
    """The tries at the names of one lane (see `dizuo.access.throttle`). `noted_ms` is the
    `until_ms` of which the audit log knows that somebody was refused before it."""

    __tablename__ = "sign_in_tries"

    lane: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    failures_ms: Mapped[list[int]] = mapped_column(JSON)
    num_waits: Mapped[int]
    until_ms: Mapped[Millis]
    noted_ms: Mapped[Millis]
    last_ms: Mapped[Millis]


def by_hash(
    session: Session, secret_hash: str, which: ColumnElement[bool]
) -> tuple[ConsoleSessionRow, AccountRow] | None:
    """The session with this hash, if it is one of `which`, and whose it is, unless that account is
    disabled."""
    query = (
        select(ConsoleSessionRow, AccountRow)
        .join(AccountRow, AccountRow.id == ConsoleSessionRow.account_id)
        .where(ConsoleSessionRow.secret_hash == secret_hash, which)
        .where(AccountRow.disabled_ms.is_(None))
        .execution_options(populate_existing=True)
    )
    found = session.execute(query).first()
    return None if found is None else (found[0], found[1])


def live(created_after_ms: int, seen_after_ms: int) -> ColumnElement[bool]:
    """Which sessions have not ended, were begun after one time and used after the other."""
    return and_(
        ConsoleSessionRow.ended_ms.is_(None),
        ConsoleSessionRow.created_ms > created_after_ms,
        ConsoleSessionRow.seen_ms > seen_after_ms,
    )


def mark_seen(session: Session, session_id: str, which: ColumnElement[bool], now: int) -> None:
    """Write that a session is used now, if it is one of `which`."""
    query = update(ConsoleSessionRow).where(ConsoleSessionRow.id == session_id, which)
    session.execute(query.values(seen_ms=now))


def end(session: Session, which: ColumnElement[bool], now: int) -> int:
    """End every session of `which` that has not; returns how many."""
    query = update(ConsoleSessionRow).where(which, ConsoleSessionRow.ended_ms.is_(None))
    return _num_rows(session.execute(query.values(ended_ms=now)))


def discard_sessions(session: Session, *, keep: ColumnElement[bool]) -> int:
    """Delete every session but those; returns how many."""
    return _num_rows(session.execute(delete(ConsoleSessionRow).where(~keep)))


def tries(session: Session, lane: int) -> SignInTriesRow | None:
    """What is known of a lane, locked where the database can: a sweep may look at it too."""
    return session.get(SignInTriesRow, lane, populate_existing=True, with_for_update=True)


def discard_tries(session: Session, quiet_since_ms: int) -> int:
    """Delete what is known of lanes where nobody failed or waited since; returns how many."""
    query = delete(SignInTriesRow).where(
        SignInTriesRow.last_ms <= quiet_since_ms, SignInTriesRow.until_ms <= quiet_since_ms
    )
    return _num_rows(session.execute(query))


def _num_rows(result: object) -> int:
    return cast("CursorResult[object]", result).rowcount
