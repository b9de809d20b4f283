"""The family `tally` of the gates' tests, installed, and a place to build stacks in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gates.scene import installed_tally
from tests.stacks.scene import Workshop

from dizuo.artifacts.layout import Layout
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row


@pytest.fixture(scope="module", autouse=True)
def tally_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed_tally(tmp_path_factory.mktemp("site")):
        yield


@pytest.fixture(scope="module")
def library(tally_family: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workshop for what a module's tests only read."""
    root = tmp_path_factory.mktemp("library")
    database = Database(sqlite_url(root / "library.db"))
    Row.metadata.create_all(database.engine)
    yield Workshop(root, database, Layout(root / "layout"))
    database.close()


@pytest.fixture
def workshop(tmp_path: Path, database: Database) -> Workshop:
    return Workshop(tmp_path, database, Layout(tmp_path / "layout"))


@pytest.fixture
def any_workshop(tmp_path: Path, any_database: Database) -> Workshop:
    """A workshop once on each database."""
    return Workshop(tmp_path, any_database, Layout(tmp_path / "layout"))
