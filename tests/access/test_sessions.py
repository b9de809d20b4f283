"""Signing in and being recognised, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import QueuePool, select, update
from tests.access.people import DAY, HOUR, MINUTE, NOON, OTHER, PASSWORD, Town

from dizuo.access import passwords, service, sessions
from dizuo.access.account_store import AccountRow
from dizuo.access.model import CredentialRefused, Role, Surface
from dizuo.access.session_store import ConsoleSessionRow
from dizuo.access.sessions import SessionEnded, SignInRefused, WrongPassword
from dizuo.access.throttle import NUM_TRIES, TooManyTries
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import DizuoError
from dizuo.database.engine import Database

WRONG = "guessed by somebody"


def _refused(town: Town, name: str, password: str = WRONG) -> DizuoError:
    with pytest.raises(DizuoError) as refused:
        town.sign_in(name, password)
    return refused.value


def test_somebody_signs_in_is_recognised_and_signs_out(any_town: Town) -> None:
    town = any_town
    made = town.add("ann", Role.BUILDER)
    secret = town.sign_in("ann")
    assert secret.startswith("dz_console_")
    assert len(secret) == len("dz_console_") + 43
    ann = town.recognise(secret)
    assert (ann.account_id, ann.principal.name, ann.principal.role) == (
        made.id,
        "ann",
        Role.BUILDER,
    )
    assert (ann.principal.surface, ann.principal.project_id) == (Surface.CONSOLE, "default")
    town.sign_out(ann)
    town.sign_out(ann)
    with pytest.raises(SessionEnded):
        town.recognise(secret)
    session = {"session": ann.session_id}
    assert town.said(after=1) == [
        ("person:ann", "session.begun", "account:ann", {**session, "from": "10.0.0.7"}),
        ("person:ann", "session.ended", "account:ann", session),
    ]


@pytest.mark.parametrize("typed", ["ann", " Ann ", "ANN\n"])
def test_a_name_may_be_typed_as_phones_do(town: Town, typed: str) -> None:
    town.add("ann")
    assert town.recognise(town.sign_in(typed)).principal.name == "ann"


def test_it_is_not_said_what_was_wrong(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    town.add("bob")
    town.disable("bob")
    ways = [("ann", WRONG), ("nobody", PASSWORD), ("bob", PASSWORD), ("bob", WRONG), ("", "")]
    refusals = [_refused(town, *way) for way in ways]
    assert {str(one) for one in refusals} == {
        "The name or the password is wrong, or the account is disabled. "
        "Try again, or ask an admin for a new password."
    }
    assert {(one.code, one.http_status) for one in refusals} == {("sign_in_refused", 401)}
    failed = [(actor, about) for actor, action, about, _ in town.said() if "failed" in action]
    assert failed == [
        ("unknown", "account:ann"),
        ("unknown", "unknown"),
        ("unknown", "account:bob"),
        ("unknown", "account:bob"),
        ("unknown", "unknown"),
    ]


@pytest.mark.parametrize(
    "name", ["correct horse 电池", "correcthorsebattery", "a\0b", "\ud800", "x" * 9999]
)
def test_what_was_typed_as_a_name_is_kept_nowhere(any_town: Town, name: str) -> None:
    for _ in range(6):
        _refused(any_town, name, PASSWORD)
    assert [e.action for e in any_town.log()] == ["sign_in.failed"] * 5 + ["sign_in.refused"]
    assert name not in repr(any_town.log())
    assert PASSWORD not in repr(any_town.log())


def test_no_secret_is_kept(database: Database, quick: PasswordHasher, tmp_path: Path) -> None:
    town = Town(database)
    town.add("ann")
    secret = town.sign_in("ann")
    _refused(town, "somebodys.password")
    database.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("test.db*"))
    assert sha256_bytes(secret.encode()).encode() in kept
    assert secret.removeprefix("dz_console_").encode() not in kept
    for word in (PASSWORD, WRONG, "somebodys.password"):
        assert word.encode() not in kept


@pytest.mark.parametrize(("origin", "shown"), [("::1", "::1"), ("a\n\ud800b", "a??b")])
def test_where_somebody_was_is_one_printable_word(town: Town, origin: str, shown: str) -> None:
    town.add("ann")
    town.sign_in("ann", origin=origin)
    town.sign_in("ann", origin="x" * 500)
    assert [one[3]["from"] for one in town.said(after=1)] == [shown, "x" * 100]


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_after_five_failures_a_name_waits_known_or_not(any_town: Town, name: str) -> None:
    town = any_town
    town.add("ann")
    for _ in range(5):
        assert isinstance(_refused(town, name), SignInRefused)
    for _ in range(3):
        refused = _refused(town, name, PASSWORD)
        assert isinstance(refused, TooManyTries)
        assert refused.next_step == "Try again in 1 minute."
    restarted = replace(town, database=Database(town.database.engine.url.render_as_string(False)))
    assert isinstance(_refused(restarted, name, PASSWORD), TooManyTries)
    restarted.database.close()
    town.now += MINUTE
    assert isinstance(_refused(town, name), SignInRefused)
    assert _refused(town, name).next_step == "Try again in 2 minutes."
    actions = [entry.action for entry in town.log()[1:]]
    failed, refusal = "sign_in.failed", "sign_in.refused"
    assert actions == [failed] * 5 + [refusal, failed, refusal]  # a refusal once for each wait


def test_the_right_password_ends_the_count(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    for _ in range(3):
        for _ in range(4):
            _refused(town, "ann")
        town.sign_in("ann")
    assert isinstance(_refused(town, "nobody"), SignInRefused)


def test_one_name_does_not_hold_up_another(town: Town) -> None:
    town.add("ann")
    town.add("bob")
    for _ in range(6):
        _refused(town, "ann")
    town.sign_in("bob")


def test_tries_at_the_same_moment_get_no_further(any_town: Town) -> None:
    any_town.add("ann")
    together = threading.Barrier(12)

    def guess(number: int) -> str:
        together.wait(timeout=30)
        return _refused(any_town, "ann", f"guess number {number}").code

    with ThreadPoolExecutor(12) as pool:
        codes = sorted(pool.map(guess, range(12)))
    assert codes == ["sign_in_refused"] * 5 + ["too_many_tries"] * 7


def _meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something between looking at a password and what comes of it."""
    look = passwords.is_right

    def looking(kept: str | None, password: str) -> bool:
        found = look(kept, password)
        act()
        return found

    monkeypatch.setattr(passwords, "is_right", looking)


@pytest.mark.parametrize("name", ["ann", "nobody"])
@pytest.mark.parametrize("password", [PASSWORD, WRONG])
def test_a_password_is_looked_at_outside_of_any_transaction(
    any_town: Town, monkeypatch: pytest.MonkeyPatch, name: str, password: str
) -> None:
    any_town.add("ann")
    pool = any_town.database.engine.pool
    assert isinstance(pool, QueuePool)
    in_use: list[int] = []
    _meanwhile(monkeypatch, lambda: in_use.append(pool.checkedout()))
    with suppress(SignInRefused):
        any_town.sign_in(name, password)
    assert in_use == [0]


CHANGES: dict[str, Callable[[Town], object]] = {
    "another password": lambda town: town.set_password("ann", OTHER),
    "disabled": lambda town: town.disable("ann"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_while_a_password_was_looked_at_counts(
    any_town: Town, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    town = any_town
    town.add("ann")
    town.now += 1
    _meanwhile(monkeypatch, lambda: CHANGES[change](town))
    assert isinstance(_refused(town, "ann", PASSWORD), SignInRefused)
    with town.database.reading() as session:
        assert list(session.scalars(select(ConsoleSessionRow))) == []


def test_a_hash_of_other_parameters_is_made_anew_at_signing_in(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    with town.database.transaction() as session:
        session.execute(update(AccountRow).values(password_hash=old))

    def kept() -> str:
        with town.database.reading() as session:
            return session.scalars(select(AccountRow.password_hash)).one()

    _refused(town, "ann")
    assert kept() == old
    first = town.sign_in("ann")
    new = kept()
    assert new != old
    town.sign_in("ann")
    assert kept() == new
    assert town.recognise(first).principal.name == "ann"


def test_a_session_ends_when_it_is_idle_or_old(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    idle, used = town.sign_in("ann"), town.sign_in("ann")
    town.now = NOON + 12 * HOUR - 1
    town.recognise(idle)
    town.touch(town.recognise(used))
    town.now += 1
    with pytest.raises(SessionEnded):
        town.recognise(idle)
    while town.now < NOON + 7 * DAY - 11 * HOUR:
        town.now += 11 * HOUR
        town.touch(town.recognise(used))
    town.now = NOON + 7 * DAY - 1
    town.recognise(used)
    town.now += 1
    with pytest.raises(SessionEnded):
        town.recognise(used)


def test_being_used_is_written_at_most_once_a_minute(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    secret = town.sign_in("ann")
    first = town.recognise(secret)
    town.now = NOON + MINUTE - 1
    town.touch(first)
    assert town.recognise(secret).seen_ms == NOON
    town.now = NOON + MINUTE
    town.touch(first)
    assert town.recognise(secret).seen_ms == NOON + MINUTE
    town.now += MINUTE - 1
    town.touch(first)  # what another process knows of it may be older
    assert town.recognise(secret).seen_ms == NOON + MINUTE


def test_a_session_that_is_over_is_not_revived(town: Town) -> None:
    town.add("ann")
    idle, ended = town.sign_in("ann"), town.sign_in("ann")
    people = [town.recognise(idle), town.recognise(ended)]
    town.sign_out(people[1])
    town.now += 12 * HOUR
    for person in people:
        town.touch(person)
    for secret in (idle, ended):
        with pytest.raises(SessionEnded):
            town.recognise(secret)
    with town.database.transaction() as session:
        assert sessions.sweep(session, town.now) == 2


def test_refusals_of_sessions_are_alike(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    secret = town.sign_in("ann")
    town.sign_out(town.recognise(secret))
    disabled = town.signed_up("bob")
    with town.database.transaction() as session:
        session.execute(update(AccountRow).values(disabled_ms=NOON))  # its session left as it is
    told = set()
    for wrong in (secret, disabled, "", "dz_console_guessed"):
        with pytest.raises(SessionEnded) as refused:
            town.recognise(wrong)
        told.add((str(refused.value), refused.value.code, refused.value.http_status))
    assert told == {("You are not signed in, or no longer. Sign in.", "session_ended", 401)}


def test_all_sessions_of_one_are_ended_at_once(any_town: Town) -> None:
    town = any_town
    ann = town.add("ann")
    secrets = [town.sign_in("ann"), town.sign_in("ann")]
    of_bob = town.signed_up("bob")
    with town.database.transaction() as session:
        assert sessions.end_all(session, "person:ann", ann, clock=town.clock) == 2
        assert sessions.end_all(session, "person:ann", ann, clock=town.clock) == 0
    for secret in secrets:
        with pytest.raises(SessionEnded):
            town.recognise(secret)
    assert town.recognise(of_bob).principal.name == "bob"
    assert town.said()[-1] == ("person:ann", "session.ended", "account:ann", {"num_sessions": 2})


def test_somebody_changes_their_own_password_and_their_other_sessions_end(
    any_town: Town,
) -> None:
    town = any_town
    here, elsewhere = town.signed_up("ann"), town.sign_in("ann")
    beside = town.signed_up("bob")
    begun = len(town.log())
    town.change_password(here, PASSWORD, OTHER)
    assert town.said(after=begun) == [
        ("person:ann", "session.ended", "account:ann", {"num_sessions": 1}),
        ("person:ann", "account.password_changed", "account:ann", {}),
    ]
    assert town.recognise(here).principal.name == "ann"
    assert town.recognise(beside).principal.name == "bob"
    with pytest.raises(SessionEnded):
        town.recognise(elsewhere)
    assert isinstance(_refused(town, "ann", PASSWORD), SignInRefused)
    assert town.sign_in("ann", OTHER)


def test_a_wrong_present_password_changes_nothing_and_counts_as_a_try(any_town: Town) -> None:
    town = any_town
    here = town.signed_up("ann")
    begun = len(town.log())
    for _ in range(NUM_TRIES):
        with pytest.raises(WrongPassword):
            town.change_password(here, WRONG, OTHER)
    for _ in range(2):
        with pytest.raises(TooManyTries):
            town.change_password(here, PASSWORD, OTHER)
    assert isinstance(_refused(town, "ann", PASSWORD), TooManyTries)
    said = [(one.actor, one.action, one.subject) for one in town.log()[begun:]]
    failed = ("person:ann", "account.password_failed", "account:ann")
    refused = ("person:ann", "account.password_refused", "account:ann")
    assert said == [failed] * NUM_TRIES + [refused]  # a refusal once for each wait
    town.now += HOUR
    assert town.sign_in("ann", PASSWORD)
    town.change_password(here, PASSWORD, OTHER)
    assert town.sign_in("ann", OTHER)


def test_a_password_that_an_admin_sets_meanwhile_counts(
    any_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = any_town
    here = town.signed_up("ann")
    is_right = passwords.is_right

    def set_meanwhile(kept: str | None, password: str) -> bool:
        monkeypatch.undo()
        right = is_right(kept, password)
        town.set_password("ann", "set by an admin")
        return right

    monkeypatch.setattr(passwords, "is_right", set_meanwhile)
    with pytest.raises(SessionEnded):
        town.change_password(here, PASSWORD, OTHER)
    assert town.sign_in("ann", "set by an admin")


def test_no_credential_is_a_session_and_no_session_a_credential(any_town: Town) -> None:
    town = any_town
    session_secret = town.signed_up("ann", Role.ADMIN)
    issued = [one for one in Surface if one is not Surface.CONSOLE]
    with town.database.transaction() as session:
        secrets = [
            service.issue(session, "test", surface, "ann", role=Role.ADMIN) for surface in issued
        ]
    prefix = "dz_console_"
    for secret in secrets:
        for worn in (secret, prefix + secret[-43:]):
            with pytest.raises(SessionEnded):
                town.recognise(worn)
    with town.database.reading() as session:
        for surface in Surface:
            for worn in (session_secret, f"dz_{surface}_{session_secret.removeprefix(prefix)}"):
                with pytest.raises(CredentialRefused):
                    service.recognise(session, worn, surface)
