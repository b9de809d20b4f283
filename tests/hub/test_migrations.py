"""A database upgraded by migrations is what the code expects, from empty and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, inspect, make_url, text

from dizuo.access import accounts
from dizuo.access import service as access
from dizuo.access.model import Role, Surface
from dizuo.access.passwords import HashedPassword
from dizuo.console.overview import history
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.migrate import upgrade
from dizuo.database.tables import Row
from dizuo.datasets import desk_store
from dizuo.hub import app

__all__ = ["app", "desk_store", "history"]  # with them come the tables of every room


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of its own."""
    if request.param == "sqlite":
        database = Database(sqlite_url(tmp_path / "empty.db"))
        yield database
        database.close()
        return
    server = Database(request.getfixturevalue("postgres_url"))
    _run(server, "CREATE DATABASE migrated")
    url = make_url(request.getfixturevalue("postgres_url")).set(database="migrated")
    database = Database(url.render_as_string(hide_password=False))
    yield database
    database.close()
    _run(server, "DROP DATABASE migrated")
    server.close()


def _run(server: Database, statement: str) -> None:
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))


def tables() -> set[str]:
    """The product's own tables; other tests may have made some of theirs."""
    mappers = Row.registry.mappers
    ours = [one for one in mappers if one.class_.__module__.startswith("dizuo.")]
    return {str(one.class_.__tablename__) for one in ours}


def _is_ours(_found: object, name: str | None, kind: str, *_details: object) -> bool:
    return kind != "table" or name in tables()


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        only = {"compare_type": True, "include_object": _is_ours}
        context = MigrationContext.configure(connection, opts=only)
        return list(compare_metadata(context, Row.metadata))


def test_migrations_lead_to_the_tables_of_the_code(empty: Database) -> None:
    upgrade(empty)
    assert differences(empty) == []
    assert set(inspect(empty.engine).get_table_names()) == {
        *tables(),
        "alembic_version",
    }


def test_upgrading_again_changes_nothing(empty: Database) -> None:
    upgrade(empty)
    before = _reflected(empty)
    upgrade(empty)
    assert _reflected(empty) == before


def test_an_improvement_that_was_about_to_roll_out_still_is(empty: Database) -> None:
    upgrade(empty, "0002")
    row = {
        "id": "1",
        "project_id": "default",
        "state": "rolling_out",
        "actor": "operator:ann",
        "request": "{}",
        "made": "{}",
        "reason": "",
        "needs_approval": False,
        "created_ms": 1,
        "updated_ms": 1,
    }
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with empty.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO improvements ({names}) VALUES ({values})"), row)
    upgrade(empty)
    with empty.engine.connect() as connection:
        assert connection.scalar(text("SELECT state FROM improvements")) == "directing"


def test_a_hub_from_before_there_were_accounts_gets_its_first(empty: Database) -> None:
    upgrade(empty, "0005")
    with empty.transaction() as session:
        token = access.issue(session, "test", Surface.API, "ann", role=Role.ADMIN)
    upgrade(empty)
    with empty.transaction() as session:
        ann = access.recognise(session, token, Surface.API)
        made = accounts.create(session, ann, "bob", Role.READER, HashedPassword("of no use"))
    with empty.reading() as session:
        assert accounts.listing(session, "default") == [made]


def test_of_labels_that_were_there_it_is_known_whether_they_are_new(empty: Database) -> None:
    upgrade(empty, "0007")
    said = [
        ("reviewed", '"7"', '"7"', False),
        ("used", '"7"', "7", False),
        ("reviewed", '"7"', '"8"', True),
        ("reviewed", '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', False),
        ("used", '{"a": 1}', '{"a": true}', True),
        ("unusable", '"7"', None, None),
        ("returned", '"7"', None, None),
    ]
    for number, (state, answer, label, _) in enumerate(said):
        values = {"state": state, "answer": answer, "label": label, "id": str(number)}
        with empty.engine.begin() as connection:
            connection.execute(text(_A_SAMPLE), values)
    upgrade(empty)
    with empty.engine.connect() as connection:
        found = connection.execute(text("SELECT changed FROM samples ORDER BY id")).scalars()
        assert [None if one is None else bool(one) for one in found] == [one[3] for one in said]


_A_SAMPLE = (
    "INSERT INTO samples (id, project_id, digest, site, family, served_as, stack_digest, answer,"
    " confidence, reason, taken_ms, received_ms, state, label, reviewer) VALUES (:id, 'default',"
    " :id, 's', 'vision', 'r', 'd', :answer, 0.5, 'novel', 1, 1, :state, :label, '')"
)


def _reflected(database: Database) -> dict[str, list[str]]:
    metadata = MetaData()
    metadata.reflect(database.engine)
    return {name: sorted(table.columns.keys()) for name, table in metadata.tables.items()}


def test_a_table_that_lacks_is_noticed(empty: Database) -> None:
    upgrade(empty)
    with empty.engine.begin() as connection:
        connection.execute(text("DROP TABLE improvements"))
    assert differences(empty) != []
