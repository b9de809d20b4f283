"""What lies in the hub's home folder, and making it ready."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dizuo.access import service as access
from dizuo.access.model import Role, Surface
from dizuo.core.files import write_json
from dizuo.core.settings import HomeRefused, using_home
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.migrate import upgrade
from dizuo.hub.errors import HubRunning
from dizuo.hub.leader import answering, exclusive_database
from dizuo.hub.settings import HubSettings

FIRST_ADMIN = "admin"
FIRST_START = "hub:first-start"
_FOLDERS = ("layout", "datasets", "samples", "runs", "uploads", "tuf", "keys")


def make_folders(home: Path) -> None:
    """Create the home folder, readable by its owner only, and its rooms.

    Raises:
        HomeRefused: it is not a folder, cannot be written, or is an agent's.
    """
    if (home / "site.json").exists():
        raise HomeRefused(
            f"{home} is a site's folder.",
            next_step="Give the hub a folder of its own with --home or DIZUO_HOME.",
        )
    with using_home(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _FOLDERS:
            (home / name).mkdir(mode=0o700, exist_ok=True)


@contextmanager
def exclusive(settings: HubSettings) -> Iterator[None]:
    """Hold the home and the database for one hub process; both end with it, however it ends.

    Runs, datasets and the registry lie in the home, and each home has one supervisor and one
    leader for workflows. So a database that several homes could share has one hub too: on
    PostgreSQL a lock that lives as long as its connection sees to that.

    Raises:
        HubRunning: another process holds one of them.
        DatabaseUnavailable: the database does not answer.
    """
    with ExitStack() as held:
        held.enter_context(_exclusive_home(settings.home))
        if settings.database_url:
            held.enter_context(exclusive_database(settings.database_url))
        yield


@contextmanager
def _exclusive_home(home: Path) -> Iterator[None]:
    descriptor = os.open(home / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HubRunning(
                f"A hub is already running in {home}.",
                next_step="Use it, stop it, or choose another folder with --home.",
            ) from error
        yield
    finally:
        os.close(descriptor)


def open_database(settings: HubSettings) -> Database:
    """The hub's database, brought to this version's schema.

    Raises:
        DatabaseUnavailable: it cannot be reached, or stayed locked.
    """
    database = Database(settings.database_url or sqlite_url(settings.home / "hub.db"))
    try:
        with answering():
            upgrade(database)
    except BaseException:
        database.close()
        raise
    return database


def workflow_database_url(settings: HubSettings) -> str:
    """Where DBOS keeps its steps: beside the hub's own tables, in a schema or file of its own."""
    return settings.database_url or sqlite_url(settings.home / "dbos.db")


def prepare(settings: HubSettings) -> bool:
    """Bring the database to this version, and on the very first start make the admin's token.

    The token is left in `credentials.json` (0600) with the hub's address, where the CLI on this
    machine finds both. The file is written before the token counts: a crash between the two leaves
    a file that the next start replaces, never a token that nobody knows. Returns whether this was
    the first start.
    """
    database = open_database(settings)
    path = settings.home / "credentials.json"
    try:
        with database.transaction() as session:
            is_first = not access.has_any(session, Surface.API)
            if is_first:
                token = access.issue(
                    session, FIRST_START, Surface.API, FIRST_ADMIN, role=Role.ADMIN
                )
                write_json(path, {"url": settings.url, "token": token}, mode=0o600)
    finally:
        database.close()
    if not is_first and path.exists():
        write_json(path, {**_read_credentials(path), "url": settings.url}, mode=0o600)
    return is_first


def _read_credentials(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_bytes())
        if isinstance(known, dict):
            return known
    except ValueError:
        pass
    raise HomeRefused(
        f"{path} is not what dizuo writes there.",
        next_step='Move it away, or make it {"token": …, "url": …} again.',
    )
