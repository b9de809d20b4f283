"""How often a name may be tried at signing in: a few times, then after waits that grow.

A try is counted before its password is looked at and taken back if that was right, so many tries at
the same moment get no further than one after the other. What is counted is in the database: it
holds across processes and starts.

Names are not kept, as people type passwords into the field for the name. By its digest a name,
known or not, falls into one of 65,536 lanes, and those in a lane share their tries. So there are
never more rows than lanes, and nothing here tells which names there are.

Rows are written before the audit log's lock is taken, as everywhere: two that wait for each other's
would otherwise wait for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from dizuo.access import session_store as store
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import DizuoError

NUM_TRIES = 5
WINDOW_MS = 15 * 60_000
"""So many failures within this time bring the first wait; one within this time after a wait brings
the next."""
FIRST_WAIT_MS = 60_000
LONGEST_WAIT_MS = 3_600_000
_MOST_WAITS = (LONGEST_WAIT_MS // FIRST_WAIT_MS).bit_length() + 1
_LANE_DIGITS = 4
_LOCK = 0x6C616E65  # an arbitrary fixed key ("lane") for PostgreSQL's advisory locks


class TooManyTries(DizuoError):
    """A name was tried too often with wrong passwords; it can be tried again later."""

    code = "too_many_tries"
    http_status = 429
    retryable = True


@dataclass(frozen=True, slots=True)
class Tries:
    """The last failures, how many waits followed each other, and when the last of them ends."""

    failures_ms: tuple[int, ...] = ()
    num_waits: int = 0
    until_ms: int = 0

    def wait_ms(self, now: int) -> int:
        """How long nobody may try, 0 for not at all. A wait longer than there can be was written
        before the clock was set back, and does not count."""
        wait = self.until_ms - now
        return wait if 0 < wait <= LONGEST_WAIT_MS else 0

    def failed(self, now: int) -> Tries:
        """After one more failure."""
        recent = [at for at in self.failures_ms if now - WINDOW_MS < at <= now]
        failures = (*recent, now)[-NUM_TRIES:]
        before = self.num_waits if now < self.until_ms + WINDOW_MS else 0
        if not before and len(failures) < NUM_TRIES:
            return Tries(failures)
        num_waits = min(before + 1, _MOST_WAITS)
        wait = min(FIRST_WAIT_MS << (num_waits - 1), LONGEST_WAIT_MS)
        return Tries(failures, num_waits, now + wait)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a try may go on: not for `wait_ms`. `is_news` if nobody was refused in that wait
    before."""

    wait_ms: int
    is_news: bool = False

    def require(self) -> None:
        """Refuse if it may not.

        Raises:
            TooManyTries: for so long.
        """
        if self.wait_ms:
            raise TooManyTries(
                "This name was tried too often with a wrong password.",
                next_step=f"Try again in {_words(self.wait_ms)}.",
            )


def count_try(session: Session, name: str, now: int) -> Verdict:
    """Count a try as failed until `forgive` says otherwise, if the name may be tried at all."""
    lane = _lane(name)
    _lock(session, lane)
    row = store.tries(session, lane)
    tries = Tries() if row is None else Tries(tuple(row.failures_ms), row.num_waits, row.until_ms)
    if row is not None and (wait := tries.wait_ms(now)):
        is_news = row.noted_ms != row.until_ms
        row.noted_ms = row.until_ms
        session.flush()
        return Verdict(wait, is_news)
    if row is None:
        row = store.SignInTriesRow(lane=lane, noted_ms=0)
        session.add(row)
    after = tries.failed(now)
    row.failures_ms = list(after.failures_ms)
    row.num_waits, row.until_ms, row.last_ms = after.num_waits, after.until_ms, now
    session.flush()
    return Verdict(0)


def forgive(session: Session, name: str) -> None:
    """Forget the failures at a name: somebody knew its password, or it has another one."""
    lane = _lane(name)
    _lock(session, lane)
    if (row := store.tries(session, lane)) is not None:
        session.delete(row)
        session.flush()


def sweep(session: Session, now: int) -> int:
    """Delete what no longer counts; returns of how many lanes."""
    return store.discard_tries(session, now - WINDOW_MS)


def _lane(name: str) -> int:
    digest = sha256_bytes(name.encode(errors="surrogatepass"))
    return int(digest.removeprefix("sha256:")[:_LANE_DIGITS], 16)


def _lock(session: Session, lane: int) -> None:
    """Hold back other tries at a lane until this transaction ends; on SQLite they queue already."""
    if session.get_bind().dialect.name == "postgresql":
        query = text("SELECT pg_advisory_xact_lock(:key, :lane)")
        session.execute(query, {"key": _LOCK, "lane": lane})


def _words(wait_ms: int) -> str:
    """`40 seconds`, `1 minute`, `3 minutes`: rounded up, so that it is not too short."""
    seconds = -(-wait_ms // 1000)
    amount, unit = (seconds, "second") if seconds < 60 else (-(-seconds // 60), "minute")
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"
