"""Connections and transactions, the same on SQLite and PostgreSQL.

On SQLite every writing transaction begins with `BEGIN IMMEDIATE`, so two writers queue up at the
start instead of failing at the end, and reads run beside them (WAL). Writers of one process queue
up at a lock of its own first: it wakes the next one at once, where SQLite lets a writer that found
the file locked sleep and look again, ever longer.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from dizuo.core.errors import DizuoError, Unavailable

_BUSY_TIMEOUT_SECONDS = 30
_SQLITE_CONNECTIONS = 40
"""Kept open, as many as the web server has threads: opening one costs more than a short query."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or another writer held it for too long."""

    code = "database_unavailable"


class DatabaseDamaged(DizuoError):
    """The file of the database is none, or no longer whole."""

    code = "database_damaged"


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


class Database:
    """One database. Thread-safe; sessions are not.

    Args:
        url: an SQLAlchemy URL, `sqlite:///…` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str) -> None:
        self.engine = _open(url)
        self._writing = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits when the block ends and rolls back when it raises.

        Raises:
            DatabaseUnavailable: it cannot be reached, stayed locked, or has no connection free.
            DatabaseDamaged: its file cannot be read as a database.
        """
        with self._turn(), Session(self.engine, expire_on_commit=False) as session:
            try:
                if self.is_sqlite:
                    session.connection(execution_options={"dizuo_begin": "IMMEDIATE"})
                yield session
                session.commit()
            except (OperationalError, PoolTimeout) as error:
                raise _unavailable() from error
            except DatabaseError as error:
                if type(error) is not DatabaseError:
                    raise  # a finer class is a fault of ours, such as a broken constraint
                raise _damaged() from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """On SQLite, this process's turn to write."""
        if not self.is_sqlite:
            yield
            return
        if not self._writing.acquire(timeout=_BUSY_TIMEOUT_SECONDS):
            raise _unavailable()
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading only; whatever it changed is dropped.

        Raises:
            DatabaseUnavailable: it cannot be reached.
            DatabaseDamaged: its file cannot be read as a database.
        """
        with Session(self.engine, expire_on_commit=False) as session:
            try:
                yield session
            except (OperationalError, PoolTimeout) as error:
                raise DatabaseUnavailable("The database cannot be read now.") from error
            except DatabaseError as error:
                if type(error) is not DatabaseError:
                    raise  # a finer class is a fault of ours, such as a broken constraint
                raise _damaged() from error

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded default."""
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _open(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(
        url, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS}, pool_size=_SQLITE_CONNECTIONS
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves, see _begin_sqlite
    cursor = connection.cursor()
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
    except sqlite3.DatabaseError as error:
        connection.close()
        if type(error) is sqlite3.DatabaseError:
            raise _damaged() from error
        raise
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("dizuo_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "The database cannot be used now.",
        next_step="See that it runs and that the disk is not full, then try again.",
    )


def _damaged() -> DatabaseDamaged:
    return DatabaseDamaged(
        "The hub's database is not a whole SQLite file.",
        next_step="Put a good copy of hub.db in its place; keep the damaged one for a look.",
    )
