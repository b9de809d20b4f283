"""What lies in the hub's home folder, and making it ready."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dizuo.access import service as access
from dizuo.access.model import Role, Surface
from dizuo.core.files import write_json
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.migrate import upgrade
from dizuo.hub.errors import HomeRefused, HubRunning, PortTaken, UnsafeAddress
from dizuo.hub.settings import HubSettings

FIRST_ADMIN = "admin"
FIRST_START = "hub:first-start"
_FOLDERS = ("layout", "datasets", "samples", "runs", "uploads", "tuf", "keys")


def check_address(settings: HubSettings) -> None:
    """Refuse to expose the hub without TLS, or on a port that is taken.

    Raises:
        UnsafeAddress: not loopback, and no certificate is set.
        PortTaken: something listens there already.
    """
    if not settings.has_tls and not _is_loopback(settings.host):
        raise UnsafeAddress(
            f"Without TLS the hub listens on loopback only, not on {settings.host}.",
            next_step="Set --tls-certificate and --tls-key, or use --host 127.0.0.1.",
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise PortTaken(
                f"Port {settings.port} on {settings.host} cannot be used: {error.strerror}.",
                next_step="Stop the program that uses it, or choose another with --port.",
            ) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_folders(home: Path) -> None:
    """Create the home folder, readable by its owner only, and its rooms.

    Raises:
        HomeRefused: it is not a folder, or cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _FOLDERS:
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeRefused(
            f"The home folder {home} cannot be used: {error.strerror}.",
            next_step="Choose another with --home or DIZUO_HOME.",
        ) from error


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Hold the home for one hub process; the lock ends with the process, however it ends.

    Raises:
        HubRunning: another process holds it.
    """
    descriptor = os.open(home / "hub.lock", os.O_RDWR | os.O_CREAT, 0o600)
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
    """The hub's database, brought to this version's schema."""
    database = Database(settings.database_url or sqlite_url(settings.home / "hub.db"))
    upgrade(database)
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
        known = json.loads(path.read_bytes())
        write_json(path, {**known, "url": settings.url}, mode=0o600)
    return is_first
