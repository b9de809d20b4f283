"""What would come of an import, held against what then does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.datasets.scene import ACTOR, add, distinct_words, jsonl, words

from dizuo.datasets import rehearsing, service
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.errors import DatasetConflict, ImportStopped, SourceRefused
from dizuo.datasets.importing.base import Format
from dizuo.datasets.model import Draft, Mode
from dizuo.datasets.rehearsing import Rehearsal, rehearse

TEXTS = distinct_words(40)
DRAFT = Draft("a", "words", "1", holdout=0.4, source_name="file")


def source_of(folder: Path, data: bytes) -> Path:
    path = folder / "source.jsonl"
    path.write_bytes(data)
    return path


def seen(warehouse: Warehouse, draft: Draft, source: Path) -> Rehearsal:
    scratch = source.parent / "scratch"
    found = rehearse(warehouse, draft, source, Format.JSONL, scratch)
    assert list(scratch.iterdir()) == []
    return found


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_it_tells_what_the_import_then_does(
    warehouse: Warehouse, tmp_path: Path, mode: Mode, share: float
) -> None:
    add(warehouse, Draft("a", "words", "0", holdout=share), words(*TEXTS[:10]))
    draft = Draft("a", "words", "1", mode, share)
    rows = [{"text": text, "label": "a"} for text in (*TEXTS[5:], TEXTS[30])]
    source = source_of(tmp_path, jsonl(*rows, "nonsense", {"label": "x"}))
    told = seen(warehouse, draft, source)
    did = service.import_file(warehouse, draft, source, Format.JSONL, ACTOR)
    assert told.num_read == 38
    assert told.num_added + told.num_held_out == did.num_accepted
    assert told.num_added == did.version.num_added
    assert (told.num_duplicates, told.num_rejected) == (did.num_duplicates, did.num_rejected)
    assert told.rejects == did.rejects
    assert dict(told.kinds) == {"text": "text", "label": "text"}
    assert [row.columns["text"] for row in told.rows] == TEXTS[5:17]


def test_nothing_is_changed(warehouse: Warehouse, tmp_path: Path) -> None:
    seen(warehouse, DRAFT, source_of(tmp_path, jsonl({"text": "one", "label": "a"})))
    assert not warehouse.root.exists()
    with warehouse.database.reading() as session:
        assert service.search(session) == ([], 0)


def test_rows_that_nearly_repeat_are_counted(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": text, "label": "a"} for text in ("aaaaaaaaab", "aaaaaaaaaab", "zzz")]
    source = source_of(tmp_path, jsonl(*rows))
    draft = Draft("a", "words", "1")
    assert seen(warehouse, draft, source).num_near == 1
    monkeypatch.setattr(rehearsing, "MAX_COMPARED", 2)
    assert seen(warehouse, draft, source).num_near is None


def test_reasons_are_counted_most_frequent_first(warehouse: Warehouse, tmp_path: Path) -> None:
    found = seen(warehouse, DRAFT, source_of(tmp_path, jsonl("x", {"label": "1"}, "y")))
    assert found.reasons[0] == ("the line is not JSON", 2)
    assert (found.num_read, found.num_rejected, found.num_near) == (3, 3, 0)
    assert not found.is_possible
    assert found.rows == ()


def test_what_cannot_be_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    source = source_of(tmp_path, jsonl({"text": "one", "label": "a"}))
    add(warehouse, DRAFT, words(*TEXTS))
    with pytest.raises(DatasetConflict, match="of the family words"):
        seen(warehouse, Draft("a", "vision", "2"), source)
    with pytest.raises(SourceRefused, match="not a Parquet file"):
        rehearse(warehouse, DRAFT, source, Format.PARQUET, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_it_ends_once_it_is_not_wanted(warehouse: Warehouse, tmp_path: Path) -> None:
    source = source_of(tmp_path, jsonl(*({"text": text} for text in TEXTS)))
    with pytest.raises(ImportStopped):
        rehearse(warehouse, DRAFT, source, Format.JSONL, tmp_path / "scratch", wanted=lambda: False)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_import_that_is_not_wanted_changes_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    source = source_of(tmp_path, jsonl(*({"text": text, "label": "a"} for text in TEXTS)))
    answers = iter([True] * 20 + [False])
    with pytest.raises(ImportStopped):
        service.import_file(
            warehouse, DRAFT, source, Format.JSONL, ACTOR, wanted=lambda: next(answers)
        )
    assert not warehouse.place("default", "a").staging.exists()
    with warehouse.database.reading() as session:
        assert service.search(session) == ([], 0)


def test_what_a_killed_hub_left_is_swept(home: Path) -> None:
    assert rehearsing.sweep(home, 0) == 0
    old, young = rehearsing.folder_of(home) / "old", rehearsing.folder_of(home) / "young"
    for folder in (old, young):
        (folder / "unpacked").mkdir(parents=True)
    os.utime(old, (1_000, 1_000))
    assert rehearsing.sweep(home, 1_000_001 + rehearsing.KEEP_MS) == 1
    assert [path.name for path in rehearsing.folder_of(home).iterdir()] == ["young"]
