"""SIGKILL at each step of adding a version: in the end one version, whole, nothing left over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lance
import pytest
from _pytest.mark import ParameterSet
from tests.datasets.killed import draft_of, records_of
from tests.datasets.scene import add, warehouse_in

from dizuo.audit import service as audit
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.datasets import service
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.model import Addition, DatasetVersion
from dizuo.datasets.table import read_rows

MOMENTS = (
    "reading",
    "split",
    "write:tickets@",
    "tag:tickets@",
    "write:tickets-test@",
    "tag:tickets-test@",
    "record",
    "settle",
    "tidy",
)


def moments(*quick: str) -> list[ParameterSet]:
    """Every moment; only some of them in the quick suite."""
    slow = pytest.mark.slow
    return [pytest.param(m, marks=() if m in quick else slow) for m in MOMENTS]


ROOT = Path(__file__).parents[2]


def kill_at(database: Database, home: Path, site: Path, origin: str, moment: str) -> None:
    """Add under `origin` in a process of its own, and kill that process at `moment`."""
    url = database.engine.url.render_as_string(hide_password=False)
    path = os.pathsep.join([str(site), str(ROOT), str(ROOT / "src")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.datasets.killed", url, str(home), origin, moment],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n", "the process ended before it got there"
        process.kill()
    assert process.returncode == -9


def seen(database: Database) -> dict[str, list[DatasetVersion]]:
    with database.reading() as session:
        assert audit.verify(session).ok
        return {s.name: service.versions(session, s.name) for s in service.listing(session)}


def expected(tmp_path: Path, *origins: str) -> Addition:
    """What the same additions make where nobody is killed."""
    database = Database(sqlite_url(tmp_path / "calm.db"))
    Row.metadata.create_all(database.engine)
    warehouse = warehouse_in(database, tmp_path / "calm")
    additions = [add(warehouse, draft_of(origin), records_of(origin)) for origin in origins]
    database.close()
    return additions[-1]


def assert_tidy(version: DatasetVersion, versions: list[DatasetVersion]) -> None:
    """Lance holds our versions and nothing else; every file there belongs to one of them."""
    dataset = lance.dataset(version.uri)
    tags = dataset.tags.list()
    assert set(tags) == {v.tag for v in versions}
    assert {v["version"] for v in dataset.versions()} == {tag["version"] for tag in tags.values()}
    used = {
        Path(file.path).name
        for v in versions
        for fragment in lance.dataset(version.uri, version=v.tag).get_fragments()
        for file in fragment.data_files()
    }
    assert {path.name for path in (Path(version.uri) / "data").iterdir()} == used


@pytest.mark.parametrize("moment", moments("reading", "tag:tickets@", "settle"))
def test_a_first_version_survives_a_kill(
    database: Database, home: Path, words_family: Path, tmp_path: Path, moment: str
) -> None:
    kill_at(database, home, words_family, "0", moment)
    assert bool(seen(database)) == (moment == "tidy")
    assert_retry_makes_it_whole(warehouse_in(database, home), tmp_path, "0")


@pytest.mark.parametrize(
    "moment",
    moments(
        "reading", "write:tickets@", "tag:tickets@", "tag:tickets-test@", "record", "settle", "tidy"
    ),
)
def test_a_later_version_survives_a_kill_and_the_one_before_is_untouched(
    database: Database, home: Path, words_family: Path, tmp_path: Path, moment: str
) -> None:
    warehouse = warehouse_in(database, home)
    first = add(warehouse, draft_of("0"), records_of("0"))
    before = read_rows(first.version.pin)
    kill_at(database, home, words_family, "1", moment)
    assert len(seen(database)["tickets"]) == (2 if moment == "tidy" else 1)
    assert read_rows(first.version.pin) == before
    assert_retry_makes_it_whole(warehouse, tmp_path, "0", "1")
    assert read_rows(first.version.pin) == before


def assert_retry_makes_it_whole(warehouse: Warehouse, tmp_path: Path, *origins: str) -> None:
    done = add(warehouse, draft_of(origins[-1]), records_of(origins[-1]))
    calm = expected(tmp_path, *origins)
    assert done.held_out is not None
    assert calm.held_out is not None
    for mine, theirs in ((done.version, calm.version), (done.held_out, calm.held_out)):
        assert (mine.version, mine.digest) == (theirs.version, theirs.digest)
        assert read_rows(mine.pin) == read_rows(theirs.pin)
    assert [r.place for r in service.read_rejects(done.version)] == ["line 99"]
    versions = seen(warehouse.database)
    assert [v.version for v in versions["tickets"]] == list(range(1, len(origins) + 1))
    again = add(warehouse, draft_of(origins[-1]), records_of(origins[-1]))
    assert again.version == done.version
    # What the kill left is gone once the next addition is through.
    later = add(warehouse, draft_of("2"), records_of("2"))
    versions = seen(warehouse.database)
    assert_tidy(later.version, versions["tickets"])
    assert later.held_out is not None
    assert_tidy(later.held_out, versions["tickets-test"])


@pytest.mark.parametrize(
    "kills",
    [
        ("tag:tickets@", "tag:tickets@"),
        pytest.param(("record", "reading", "settle"), marks=pytest.mark.slow),
    ],
)
def test_several_kills_in_a_row_end_the_same(
    database: Database, home: Path, words_family: Path, tmp_path: Path, kills: tuple[str, ...]
) -> None:
    for moment in kills:
        kill_at(database, home, words_family, "0", moment)
    assert_retry_makes_it_whole(warehouse_in(database, home), tmp_path, "0")
