"""The watch itself: it must not be blind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session
from tests.hub.audit_watch import UNAUDITED, watching

from dizuo.access.store import CredentialRow
from dizuo.audit import service as audit
from dizuo.database.engine import Database
from dizuo.database.tables import Row
from dizuo.sites.store import JoinTokenRow


def row(name: str = "1") -> CredentialRow:
    return CredentialRow(
        id=name,
        project_id="default",
        surface="api",
        name=name,
        role=1,
        secret_hash=name,
        created_ms=1,
        revoked_ms=None,
    )


def add(session: Session) -> None:
    session.add(row("2"))


def change(session: Session) -> None:
    session.get_one(CredentialRow, "1").role = 4


def change_in_bulk(session: Session) -> None:
    session.execute(update(CredentialRow).values(role=4))


def take_away(session: Session) -> None:
    session.execute(delete(CredentialRow))


def add_in_bulk(session: Session) -> None:
    session.execute(
        insert(JoinTokenRow),
        [
            {
                "id": number,
                "project_id": "default",
                "secret_hash": number,
                "actor": "x",
                "created_ms": 1,
                "expires_ms": 1,
            }
            for number in "12"
        ],
    )


def break_off(session: Session) -> None:
    session.add(row("5"))
    session.flush()
    raise ZeroDivisionError


@pytest.mark.parametrize("work", [add, change, change_in_bulk, take_away, add_in_bulk])
def test_a_write_without_an_entry_is_seen(
    any_database: Database, work: Callable[[Session], None]
) -> None:
    with any_database.transaction() as session:
        session.add(row())
    with watching() as watch:
        with any_database.transaction() as session:
            work(session)
        assert len(watch.broken) == 1
        with any_database.transaction() as session:
            session.add(row("3"))
            audit.record(session, "test", "credential.issued", "credential:3")
        with any_database.reading() as session:
            session.add(row("4"))
            session.flush()
        with pytest.raises(ZeroDivisionError), any_database.transaction() as session:
            break_off(session)
        with any_database.transaction() as session:
            session.execute(update(CredentialRow).where(CredentialRow.id == "none").values(role=4))
        assert (len(watch.broken), watch.num_audited) == (1, 1)


def test_what_may_change_unseen_are_columns_that_exist() -> None:
    for table, columns in UNAUDITED.items():
        assert columns <= set(Row.metadata.tables[table].columns.keys())
