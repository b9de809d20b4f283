"""People's sessions at the console: signing in, being recognised, signing out.

The secret of a session is `dz_console_<43 characters>`: 256 random bits, kept as their SHA-256, as
those of other credentials are. Sessions lie in a table of their own, so that no credential is a
session and no session a credential.
"""

from __future__ import annotations

import secrets

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from dizuo.access import account_store, passwords, throttle
from dizuo.access import session_store as store
from dizuo.access.account_store import AccountRow
from dizuo.access.model import NAME_PATTERN, Account, Person, Principal, Role, Surface
from dizuo.access.passwords import HashedPassword
from dizuo.audit import service as audit
from dizuo.core.clock import Clock, now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput, Unauthenticated
from dizuo.core.ids import new_id
from dizuo.database.engine import Database
from dizuo.database.tables import DEFAULT_PROJECT

IDLE_MS = 12 * 3_600_000
OLD_MS = 7 * 24 * 3_600_000
TOUCH_MS = 60_000
STRANGER = "unknown"
"""How the audit log names whoever did not get in, and a name that nobody has: what was typed as one
may be a password."""
_MAX_ORIGIN = 100


class SignInRefused(Unauthenticated):
    """The name or the password is wrong, or the account is disabled; it is not said which."""

    code = "sign_in_refused"


class WrongPassword(InvalidInput):
    """What was given as somebody's present password is not."""

    code = "password_wrong"


class SessionEnded(Unauthenticated):
    """There is no such session: it never was, has ended, was idle or old, or its account is
    disabled."""

    code = "session_ended"


def sign_in(
    database: Database, name: str, password: str, origin: str, *, clock: Clock = now_ms
) -> str:
    """Begin a session and return its secret, which is never shown again.

    The password is looked at between two transactions; what the second one finds changed since the
    first (another password, a disabled account) counts. `origin` is where the person is, such as an
    address, for the audit log.

    Raises:
        SignInRefused: the name or the password is wrong, or the account is disabled.
        TooManyTries: the name was tried too often with wrong passwords.
    """
    name = name.strip().lower()
    with database.transaction() as session:
        found = account_store.by_name(session, name) if NAME_PATTERN.fullmatch(name) else None
        verdict = throttle.count_try(session, name, clock())
        if verdict.is_news:
            _record_stranger(session, "sign_in.refused", found, origin)
    verdict.require()
    kept = _kept(found, password)
    with database.transaction() as session:
        account = account_store.get(session, found.id) if found and kept else None
        if account and found and _is_as_found(account, found):
            account.password_hash = kept
            throttle.forgive(session, name)
            return _begin(session, account, origin, clock())
        _record_stranger(session, "sign_in.failed", found, origin)
    raise SignInRefused(
        "The name or the password is wrong, or the account is disabled.",
        next_step="Try again, or ask an admin for a new password.",
    )


def change_password(
    database: Database,
    secret: str,
    password: str,
    chosen: HashedPassword,
    *,
    clock: Clock = now_ms,
) -> None:
    """Give whose session `secret` is another password, if they know the one they have; all of their
    other sessions end.

    Wrong ones count as tries at signing in do, so that who finds a screen left open cannot guess.

    Raises:
        SessionEnded: sign in again.
        WrongPassword: they have another one; nothing was changed.
        TooManyTries: wrong ones were tried too often, here or at signing in.
    """
    with database.transaction() as session:
        person = recognise(session, secret, clock=clock)
        found = account_store.get(session, person.account_id)
        verdict = throttle.count_try(session, found.name, clock())
        if verdict.is_news:
            account = account_store.to_account(found)
            _record_account(session, person.principal.actor, "account.password_refused", account)
    verdict.require()
    kept = _kept(found, password)
    with database.transaction() as session:
        actor = recognise(session, secret, clock=clock).principal.actor
        row = account_store.get(session, found.id)
        account = account_store.to_account(row)
        if kept and _is_as_found(row, found):
            row.password_hash, row.password_ms = chosen.encoded, clock()
            throttle.forgive(session, row.name)
            end_all(session, actor, account, keep=person.session_id, clock=clock)
            _record_account(session, actor, "account.password_changed", account)
            return
        _record_account(session, actor, "account.password_failed", account)
    raise WrongPassword("This is not the password you have.", next_step="Type it again.")


def _kept(found: AccountRow | None, password: str) -> str:
    """The hash to keep of a password that is right; empty if it is not, or there is no account,
    which takes as long to find out."""
    if found is None:
        passwords.is_right(None, password)
        return ""
    right = passwords.is_right(found.password_hash, password)
    return passwords.renewed(found.password_hash, password) if right else ""


def _is_as_found(account: AccountRow, found: AccountRow) -> bool:
    return account.disabled_ms is None and account.password_ms == found.password_ms


def _begin(session: Session, account: AccountRow, origin: str, now: int) -> str:
    secret = f"dz_{Surface.CONSOLE.value}_{secrets.token_urlsafe(32)}"
    row = store.ConsoleSessionRow(
        id=new_id(),
        account_id=account.id,
        secret_hash=sha256_bytes(secret.encode()),
        created_ms=now,
        seen_ms=now,
        ended_ms=None,
    )
    session.add(row)
    audit.record(
        session,
        _principal(account).actor,
        "session.begun",
        f"account:{account.name}",
        {"session": row.id, "from": _printable(origin)},
        project_id=account.project_id,
    )
    return secret


def _record_stranger(session: Session, action: str, found: AccountRow | None, origin: str) -> None:
    audit.record(
        session,
        STRANGER,
        action,
        STRANGER if found is None else f"account:{found.name}",
        {"from": _printable(origin)},
        project_id=DEFAULT_PROJECT if found is None else found.project_id,
    )


def _printable(origin: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in origin[:_MAX_ORIGIN])


def _principal(account: AccountRow) -> Principal:
    return Principal(
        account.id, account.name, Surface.CONSOLE, account.project_id, Role(account.role)
    )


def recognise(session: Session, secret: str, *, clock: Clock = now_ms) -> Person:
    """Whose session `secret` is, with the role and preferences that they have now.

    Raises:
        SessionEnded: nobody's, or it has ended, was not used for `IDLE_MS`, is `OLD_MS` old, or its
            account is disabled. These are not told apart.
    """
    found = store.by_hash(session, sha256_bytes(secret.encode()), _live(clock()))
    if found is None:
        raise SessionEnded("You are not signed in, or no longer.", next_step="Sign in.")
    row, account_row = found
    account = account_store.to_account(account_row)
    return Person(
        session_id=row.id,
        principal=_principal(account_row),
        language=account.language,
        theme=account.theme,
        seen_ms=row.seen_ms,
    )


def touch(database: Database, person: Person, *, clock: Clock = now_ms) -> None:
    """Note that a session is used; at most once in `TOUCH_MS` anything is written. A session that
    is over stays so."""
    now = clock()
    if now - person.seen_ms < TOUCH_MS:
        return
    with database.transaction() as session:
        not_lately = store.ConsoleSessionRow.seen_ms <= now - TOUCH_MS
        store.mark_seen(session, person.session_id, _live(now) & not_lately, now)


def sign_out(session: Session, person: Person, *, clock: Clock = now_ms) -> None:
    """End a session; nothing happens if it has ended already."""
    if store.end(session, store.ConsoleSessionRow.id == person.session_id, clock()):
        _record_end(
            session, person.principal.actor, person.principal, {"session": person.session_id}
        )


def end_all(
    session: Session, actor: str, account: Account, *, keep: str = "", clock: Clock = now_ms
) -> int:
    """End every session of an account but the one with the id `keep`; returns how many."""
    of_account = store.ConsoleSessionRow.account_id == account.id
    num_ended = store.end(session, of_account & (store.ConsoleSessionRow.id != keep), clock())
    if num_ended:
        _record_end(session, actor, account, {"num_sessions": num_ended})
    return num_ended


def _record_account(session: Session, actor: str, action: str, account: Account) -> None:
    subject = f"account:{account.name}"
    audit.record(session, actor, action, subject, project_id=account.project_id)


def _record_end(
    session: Session, actor: str, whose: Account | Principal, detail: dict[str, str | int]
) -> None:
    subject = f"account:{whose.name}"
    audit.record(session, actor, "session.ended", subject, detail, project_id=whose.project_id)


def sweep(session: Session, now: int) -> int:
    """Delete the sessions that are over; returns how many."""
    return store.discard_sessions(session, keep=_live(now))


def _live(now: int) -> ColumnElement[bool]:
    return store.live(created_after_ms=now - OLD_MS, seen_after_ms=now - IDLE_MS)
