"""Lists that are paged and searched where they lie: datasets, versions, rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.datasets.scene import add, distinct_words, warehouse_in, words

from dizuo.core.errors import InvalidInput
from dizuo.database.engine import Database
from dizuo.datasets import service
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.errors import DatasetDamaged, DatasetMissing
from dizuo.datasets.model import Candidate, DatasetPin, Draft, Reject
from dizuo.datasets.searching import find_row, find_rows, search_rows


@pytest.fixture
def anywhere(any_database: Database, home: Path) -> Warehouse:
    return warehouse_in(any_database, home)


def made(warehouse: Warehouse, name: str, *texts: str, project: str = "default") -> DatasetPin:
    draft = Draft(name, "words", f"{name} {texts}", project_id=project)
    return add(warehouse, draft, words(*texts)).version.pin


def test_datasets_are_found_by_a_part_of_their_name(anywhere: Warehouse) -> None:
    for name in ("b_1", "bx1", "a.b", "c"):
        made(anywhere, name, "one")
    made(anywhere, "b_1", "two")
    made(anywhere, "b_2", "secret", project="elsewhere")
    with anywhere.database.reading() as session:
        found, total = service.search(session, "B")
        assert ([one.name for one in found], total) == (["a.b", "b_1", "bx1"], 3)
        assert [(one.num_versions, one.latest.version) for one in found] == [(1, 1), (2, 2), (1, 1)]
        assert found[1] == service.show(session, "b_1")
        page, total = service.search(session, "", offset=1, limit=2)
        assert ([one.name for one in page], total) == (["b_1", "bx1"], 4)
        assert [one.name for one in service.search(session, "_")[0]] == ["b_1"]
        assert service.search(session, "%") == ([], 0)


def test_which_datasets_have_held_out_rows(anywhere: Warehouse) -> None:
    texts = distinct_words(40)
    add(anywhere, Draft("a", "words", "1", holdout=0.4), words(*texts))
    made(anywhere, "b", "one")
    with anywhere.database.reading() as session:
        assert service.with_held_out(session, ["a", "b", "none"]) == {"a"}
        assert service.with_held_out(session, ["a"], "elsewhere") == set()


def test_versions_come_newest_first_and_in_parts(anywhere: Warehouse) -> None:
    for text in ("one", "two", "three"):
        made(anywhere, "a", text)
    with anywhere.database.reading() as session:
        assert [one.version for one in service.history(session, "a")] == [3, 2, 1]
        assert [one.version for one in service.history(session, "a", offset=1, limit=1)] == [2]
        with pytest.raises(DatasetMissing):
            service.history(session, "a", project_id="elsewhere")


@pytest.fixture
def mixed(warehouse: Warehouse) -> DatasetPin:
    rows: list[Candidate | Reject] = [
        Candidate("line 1", {"text": "The Pump is warm", "label": {"part": "Lager"}}),
        Candidate("line 2", {"text": "it's 100% off", "label": {"part": "泵"}}),
        Candidate("line 3", {"text": "quiet", "label": {"part": "fan"}, "note": "Ölfilter"}),
    ]
    return add(warehouse, Draft("mixed", "words", "1", source_name="file"), rows).version.pin


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("pump", ["line 1"]),
        ("LAGER", ["line 1"]),
        ("泵", ["line 2"]),
        ("it's", ["line 2"]),
        ("0%", ["line 2"]),
        ("%", ["line 2"]),
        ("ölfilter", ["line 3"]),
        ("file#line", ["line 1", "line 2", "line 3"]),
        ("' OR 1 = 1 --", []),
        ("`", []),
        ("\\", []),
        ("\0", []),
    ],
)
def test_rows_are_found_by_what_they_say(mixed: DatasetPin, text: str, places: list[str]) -> None:
    found = search_rows(mixed, text, 0, 10)
    assert sorted(row.source.partition("#")[2] for row in found.rows) == places
    assert found.total == len(places)


def test_rows_that_are_found_come_in_parts(mixed: DatasetPin) -> None:
    whole = search_rows(mixed, "", 0, 10)
    assert (len(whole.rows), whole.total) == (3, 3)
    some = search_rows(mixed, "file", 1, 1)
    assert (some.rows, some.total) == (search_rows(mixed, "file", 0, 10).rows[1:2], 3)
    assert search_rows(mixed, "file", 3, 1).rows == ()


def test_a_row_is_found_by_its_digest(mixed: DatasetPin) -> None:
    row = search_rows(mixed, "quiet", 0, 1).rows[0]
    assert find_row(mixed, row.row_digest) == row
    assert find_row(mixed, "sha256:" + "0" * 64) is None
    every = search_rows(mixed, "", 0, 10).rows
    assert find_rows(mixed, [one.row_digest for one in every]) == {
        one.row_digest: one for one in every
    }
    assert find_rows(mixed, []) == {}
    with pytest.raises(InvalidInput):
        find_row(mixed, "' OR true")


def test_what_cannot_be_read_is_damaged(mixed: DatasetPin, tmp_path: Path) -> None:
    gone = DatasetPin(**{**mixed.as_dict(), "uri": str(tmp_path / "gone.lance")})
    with pytest.raises(DatasetDamaged):
        search_rows(gone, "pump", 0, 1)
