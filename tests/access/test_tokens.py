"""Operators' tokens under several admins at once, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dizuo.access import service, store, tokens
from dizuo.access.model import Principal, Role, Surface
from dizuo.access.tokens import LastAdmin, TokenExists, TokenNotFound
from dizuo.core.errors import DizuoError
from dizuo.database.engine import Database


def _admin(name: str, project: str = "default") -> Principal:
    return Principal("1", name, Surface.API, project, Role.ADMIN)


def _create(database: Database, name: str, role: Role, project: str = "default") -> str:
    with database.transaction() as session:
        return tokens.create(session, _admin("root", project), name, role)


def _names(database: Database, project: str = "default") -> list[tuple[str, bool]]:
    with database.reading() as session:
        found = tokens.listing(session, project)
    return [(token.name, token.revoked_ms is None) for token in found]


def test_two_admins_who_revoke_each_other_leave_one(any_database: Database) -> None:
    for name in ("ann", "bob"):
        _create(any_database, name, Role.ADMIN)
    together = threading.Barrier(2)

    def revoke(caller: str, name: str) -> str:
        together.wait(timeout=30)
        try:
            with any_database.transaction() as session:
                tokens.revoke(session, _admin(caller), name)
        except LastAdmin as error:
            return error.code
        return "revoked"

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(revoke, ("ann", "bob"), ("bob", "ann")))
    assert sorted(ends) == ["last_admin", "revoked"]
    assert sum(alive for _, alive in _names(any_database)) == 1


def test_a_token_that_is_no_admins_may_always_go(any_database: Database) -> None:
    _create(any_database, "ann", Role.ADMIN)
    _create(any_database, "bob", Role.READER)
    with any_database.transaction() as session:
        assert tokens.revoke(session, _admin("ann"), "bob") == 1
    assert _names(any_database) == [("ann", True), ("bob", False)]


def test_projects_do_not_see_each_other(database: Database) -> None:
    _create(database, "ann", Role.ADMIN)
    _create(database, "ann", Role.ADMIN, "other")
    assert _names(database, "other") == [("ann", True)]
    _create(database, "bob", Role.ADMIN, "other")
    with database.transaction() as session:
        tokens.revoke(session, _admin("bob", "other"), "ann")
    assert _names(database) == [("ann", True)]
    assert _names(database, "other") == [("ann", False), ("bob", True)]


def _refused(database: Database, name: str, role: Role | None) -> type[DizuoError]:
    def ask() -> None:
        with database.transaction() as session:
            if role is None:
                tokens.revoke(session, _admin("ann"), name)
            else:
                tokens.create(session, _admin("ann"), name, role)

    with pytest.raises(DizuoError) as refused:
        ask()
    return refused.type


def test_refusals_change_nothing(database: Database) -> None:
    _create(database, "ann", Role.ADMIN)
    with database.transaction() as session:
        service.issue(session, "test", Surface.EDGE, "site3")
    assert _refused(database, "ann", Role.READER) is TokenExists
    assert _refused(database, "ann", None) is LastAdmin
    assert _refused(database, "site3", None) is TokenNotFound
    assert _names(database) == [("ann", True)]
    with database.reading() as session:
        assert [row.name for row in store.live(session, "edge")] == ["site3"]
