"""The family `tally`, installed, and shelves to work on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gates.scene import Shelf, installed_tally

from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row


@pytest.fixture(scope="module", autouse=True)
def tally_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed_tally(tmp_path_factory.mktemp("site")):
        yield


@pytest.fixture(scope="module")
def library(tally_family: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """A shelf for what a module's tests only read."""
    root = tmp_path_factory.mktemp("library")
    database = Database(sqlite_url(root / "library.db"))
    Row.metadata.create_all(database.engine)
    yield Shelf(root, database)
    database.close()


@pytest.fixture
def shelf(tmp_path: Path, database: Database) -> Shelf:
    return Shelf(tmp_path, database)
