"""One hub for one PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from dizuo.database.engine import DatabaseUnavailable
from dizuo.hub.errors import HubRunning

_HUB_LOCK = 0x64697A756F01  # an arbitrary fixed key ("dizuo", 1) for PostgreSQL's advisory lock


@contextmanager
def answering() -> Iterator[None]:
    """Tell in one sentence that a database does not answer.

    Raises:
        DatabaseUnavailable: it does not.
    """
    try:
        yield
    except OperationalError as error:
        raise DatabaseUnavailable(
            "The hub's database cannot be used now.",
            next_step="See that it runs, that its URL is right and that the disk is not full.",
        ) from error


@contextmanager
def exclusive_database(url: str) -> Iterator[None]:
    """Hold a PostgreSQL database for one hub process.

    The lock belongs to a connection of its own. If the server ends that connection, another hub
    could start while this one still runs; what both then do stays right (state changes lock their
    rows, runs are keyed and fenced), but runs of one home would wait for a supervisor in vain.

    Raises:
        HubRunning: another process holds it.
        DatabaseUnavailable: it does not answer.
    """
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with answering():
        connection = engine.connect()
    with connection:
        taken = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _HUB_LOCK})
        if not taken:
            raise HubRunning(
                "A hub is already running on this database.",
                next_step="Use it, stop it, or choose another with --database-url.",
            )
        yield
