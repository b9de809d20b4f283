"""Pages of accounts with their sessions, on both databases; who cannot be locked out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dizuo.access import accounts, people, sessions, tokens
from dizuo.access.model import Principal, Role, Surface
from dizuo.access.passwords import HashedPassword, hashed
from dizuo.access.tokens import LastAdmin
from dizuo.core.errors import InvalidInput
from dizuo.database.engine import Database

ANN = Principal("1", "ann", Surface.API, "default", Role.ADMIN)
EVE = Principal("2", "eve", Surface.API, "other", Role.ADMIN)
PASSWORD = "correct horse battery"


@dataclass
class Clock:
    """A clock that tests set."""

    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="module")
def password() -> HashedPassword:
    return hashed("nobody", PASSWORD)


def add(database: Database, password: HashedPassword, *names: str, caller: Principal = ANN) -> None:
    with database.transaction() as session:
        for name in names:
            accounts.create(session, caller, name, Role.READER, password)


def test_accounts_are_found_by_name_page_by_page(
    any_database: Database, password: HashedPassword
) -> None:
    add(any_database, password, "mei", "lin", "mei.li", "bo")
    add(any_database, password, "mei-other", caller=EVE)
    with any_database.reading() as session:
        first = people.page(session, "default", limit=3)
        assert [one.name for one in first.accounts] == ["bo", "lin", "mei"]
        assert first.num_accounts == 4
        rest = people.page(session, "default", limit=3, offset=3)
        assert [one.name for one in rest.accounts] == ["mei.li"]
        found = people.page(session, "default", "MEI", limit=3)
        assert ([one.name for one in found.accounts], found.num_accounts) == (["mei", "mei.li"], 2)
        assert people.page(session, "default", "_", limit=3).num_accounts == 0


def test_open_sessions_are_counted_with_their_times(
    any_database: Database, password: HashedPassword
) -> None:
    add(any_database, password, "mei", "bo")
    clock = Clock()
    secrets = []
    for _ in range(3):
        secrets.append(sessions.sign_in(any_database, "mei", PASSWORD, "here", clock=clock))
        clock.now += 1000
    with any_database.transaction() as session:
        first = sessions.recognise(session, secrets[0], clock=clock)
        sessions.sign_out(session, first, clock=clock)
    with any_database.reading() as session:
        found = people.page(session, "default", limit=5, clock=clock)
        clock.now += sessions.IDLE_MS
        later = people.page(session, "default", limit=5, clock=clock)
    mei = next(one.id for one in found.accounts if one.name == "mei")
    assert found.presence == {mei: people.Presence(2, 1_001_000, 1_002_000)}
    assert later.presence == {}


def test_the_last_admin_is_known_and_cannot_be_locked_out(
    any_database: Database, password: HashedPassword
) -> None:
    def last() -> str:
        with any_database.reading() as session:
            return accounts.last_admin(session, "other")

    add(any_database, password, "eve", "bob", caller=EVE)
    assert last() == ""
    with any_database.transaction() as session:
        accounts.set_role(session, EVE, "eve", Role.ADMIN)
    assert last() == "eve"
    with any_database.transaction() as session, pytest.raises(LastAdmin):
        accounts.disable(session, EVE, "eve")
    with any_database.transaction() as session, pytest.raises(LastAdmin):
        accounts.set_role(session, EVE, "eve", Role.RELEASER)
    with any_database.transaction() as session:
        accounts.set_role(session, EVE, "bob", Role.ADMIN)
    assert last() == ""
    with any_database.transaction() as session:
        assert accounts.disable(session, EVE, "eve").disabled_ms is not None
    assert last() == "bob"
    with any_database.transaction() as session:
        tokens.create(session, EVE, "ci", Role.ADMIN)
    assert last() == ""


@pytest.mark.parametrize("name", ["", "Mei", "-mei", "mei li", "m" * 64, "美"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the name"):
        accounts.require_name(name)
