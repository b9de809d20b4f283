"""A second family beside vision, and warehouses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.datasets.scene import warehouse_in

from dizuo.database.engine import Database
from dizuo.datasets.adding import Warehouse
from dizuo.families import registry


@pytest.fixture(autouse=True)
def words_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the family `words` as pip would: a distribution with an entry point. Yields the
    folder that a subprocess needs on its path to find it too."""
    site = tmp_path / "site"
    information = site / "words-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
    entry = f"[{registry.ENTRY_POINT_GROUP}]\nwords = tests.datasets.words\n"
    (information / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(site))
    registry.family_packages.cache_clear()
    yield site
    registry.family_packages.cache_clear()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def warehouse(database: Database, home: Path) -> Warehouse:
    return warehouse_in(database, home)
