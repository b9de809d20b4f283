"""Transactions on both engines: whole or not at all, and writers that wait for each other."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from dizuo.core.ids import new_id
from dizuo.database import engine
from dizuo.database.engine import Database, DatabaseDamaged, DatabaseUnavailable, sqlite_url
from dizuo.database.tables import Id, Json, ProjectId, Row


class CounterRow(Row):
    """A row that only these tests have."""

    __tablename__ = "test_counters"

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    value: Mapped[int] = mapped_column(default=0)
    detail: Mapped[Json]


@pytest.fixture
def counter_id(any_database: Database) -> str:
    row_id = new_id()
    with any_database.transaction() as session:
        session.add(CounterRow(id=row_id, detail={"text": "底座", "list": [1, 2.5, None]}))
    return row_id


def _value(database: Database, row_id: str) -> int:
    with database.reading() as session:
        return session.get_one(CounterRow, row_id).value


def test_commits_when_the_block_ends(any_database: Database, counter_id: str) -> None:
    with any_database.transaction() as session:
        session.get_one(CounterRow, counter_id).value = 7
    assert _value(any_database, counter_id) == 7


def test_a_row_comes_back_as_written(any_database: Database, counter_id: str) -> None:
    with any_database.reading() as session:
        row = session.get_one(CounterRow, counter_id)
    assert row.project_id == "default"
    assert row.detail == {"text": "底座", "list": [1, 2.5, None]}


def test_rolls_back_when_the_block_raises(any_database: Database, counter_id: str) -> None:
    def fail() -> None:
        with any_database.transaction() as session:
            session.get_one(CounterRow, counter_id).value = 7
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert _value(any_database, counter_id) == 0


def test_reading_drops_what_it_changed(any_database: Database, counter_id: str) -> None:
    with any_database.reading() as session:
        session.get_one(CounterRow, counter_id).value = 7
        session.flush()
    assert _value(any_database, counter_id) == 0


def test_a_reader_is_not_held_up_by_a_writer(any_database: Database, counter_id: str) -> None:
    with any_database.transaction() as session:
        session.get_one(CounterRow, counter_id).value = 7
        session.flush()
        assert _value(any_database, counter_id) == 0


def test_no_update_is_lost_between_writers(any_database: Database, counter_id: str) -> None:
    together = threading.Barrier(6)

    def add_ten() -> None:
        together.wait(timeout=30)
        for _ in range(10):
            with any_database.transaction() as session:
                query = select(CounterRow).where(CounterRow.id == counter_id).with_for_update()
                session.scalars(query).one().value += 1

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(add_ten) for _ in range(6)]:
            done.result()
    assert _value(any_database, counter_id) == 60


_WRITER = """
import sys
from dizuo.database.engine import Database
from sqlalchemy import text
database = Database(sys.argv[1])
for _ in range(25):
    with database.transaction() as session:
        session.execute(text("UPDATE test_counters SET value = value + 1"))
"""


def test_writers_in_several_processes_wait_for_each_other(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "shared.db"))
    Row.metadata.create_all(database.engine)
    row_id = new_id()
    with database.transaction() as session:
        session.add(CounterRow(id=row_id, detail={}))
    command = [sys.executable, "-c", _WRITER, sqlite_url(tmp_path / "shared.db")]
    writers = [subprocess.Popen(command) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert _value(database, row_id) == 75
    database.close()


def test_sqlite_keeps_what_it_committed(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "a.db"))
    with database.reading() as session:
        pragmas = [
            session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
    assert database.is_sqlite
    database.close()


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "postgresql+psycopg://127.0.0.1:1/none"]
)
def test_a_database_that_is_not_there(url: str) -> None:
    database = Database(url)
    with pytest.raises(DatabaseUnavailable) as refused, database.transaction() as session:
        session.connection()
    assert refused.value.retryable
    assert refused.value.next_step
    with pytest.raises(DatabaseUnavailable), database.reading() as session:
        session.connection()
    database.close()


_LIMITED = """
import resource, sys
from sqlalchemy import text
from dizuo.database.engine import Database, DatabaseUnavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with Database(sys.argv[1]).transaction() as session:
        for _ in range(2000):
            session.execute(text("INSERT INTO notes VALUES (hex(randomblob(1000)))"))
except DatabaseUnavailable as error:
    print(error)
"""


def test_a_full_disk_is_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "a.db")
    database = Database(url)
    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE notes (text TEXT)")
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, url],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("The database cannot be used now. See that it runs and that")
    with database.reading() as session:
        found = session.connection().exec_driver_sql("SELECT count(*) FROM notes").scalar()
    assert found == 0
    database.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"certainly not a database" * 100)
    database = Database(sqlite_url(tmp_path / "a.db"))
    for opened in (database.transaction, database.reading):
        with pytest.raises(DatabaseDamaged) as refused, opened() as session:
            session.connection()
        assert refused.value.next_step
    database.close()


def test_a_database_that_was_overwritten_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = Database(sqlite_url(path))
    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE notes (text TEXT)")
        for _ in range(200):
            session.connection().exec_driver_sql("INSERT INTO notes VALUES (hex(randomblob(500)))")
    database.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    path.write_bytes(content)
    count = "SELECT count(*) FROM notes"
    for opened in (database.transaction, database.reading):
        with pytest.raises(DatabaseDamaged), opened() as session:
            session.connection().exec_driver_sql(count)
    database.close()


def test_a_fault_of_ours_is_not_the_databases(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.add_all(CounterRow(id="same", detail={}) for _ in range(2))


def test_a_writer_that_waits_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BUSY_TIMEOUT_SECONDS", 0.05)
    database = Database(sqlite_url(tmp_path / "shared.db"))
    with database.transaction(), ThreadPoolExecutor(1) as other:

        def write() -> None:
            with database.transaction():
                pass

        with pytest.raises(DatabaseUnavailable):
            other.submit(write).result(timeout=30)
    with database.transaction():
        """The turn that nobody took is there for the next one."""
    database.close()


def test_a_writer_that_failed_gives_up_its_turn(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "shared.db"))
    for _ in range(2):
        with pytest.raises(RuntimeError), database.transaction():
            raise RuntimeError
    database.close()
