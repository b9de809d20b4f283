"""What changed between versions, and what a suite shares with training data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.datasets.scene import add, distinct_words, png, words

from dizuo.core.errors import Conflict
from dizuo.datasets import diffing, service
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.diffing import NUM_EXAMPLES
from dizuo.datasets.model import Candidate, DatasetPin, Draft, Mode, RowExample, StoredRow
from dizuo.datasets.table import iterate_rows
from dizuo.families import registry

DRAFT = Draft("tickets", "words", "1", source_name="file")


def test_a_diff_tells_added_removed_and_relabelled_rows(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc", "def", "ghi", label="old")).version
    replaced = replace(DRAFT, origin="2", mode=Mode.REPLACE)
    rows = [*words("abc", label="old"), Candidate("line 2", {"text": "def", "label": "new"})]
    two = add(warehouse, replaced, [*rows, *words("xyz", label="old")]).version
    diff = service.diff(one.pin, two.pin)
    assert (diff.before, diff.after) == ("tickets@1", "tickets@2")
    counts = (diff.num_added, diff.num_removed, diff.num_relabelled, diff.num_unchanged)
    assert counts == (1, 1, 1, 1)
    [relabelled] = diff.relabelled
    assert (relabelled.label_before, relabelled.label) == ("old", "new")
    assert relabelled.source == "file#line 2"
    assert [row.source for row in diff.added] == ["file#line 1"]
    assert [row.source for row in diff.removed] == ["file#line 3"]
    assert all(isinstance(row, RowExample) for row in diff.added + diff.removed)
    back = service.diff(two.pin, one.pin)
    assert (back.num_added, back.num_removed, back.num_relabelled) == (1, 1, 1)


def test_a_diff_that_nobody_wants_any_more_is_stopped(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc", "def", "ghi")).version
    answers = iter([True, True, False])
    with pytest.raises(Conflict, match="stopped"):
        service.diff(one.pin, one.pin, wanted=lambda: next(answers))


def test_a_version_does_not_differ_from_itself(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc", "def")).version
    diff = service.diff(one.pin, one.pin)
    assert (diff.num_added, diff.num_removed, diff.num_relabelled) == (0, 0, 0)
    assert diff.num_unchanged == 2


def test_a_diff_shows_some_examples_and_counts_all(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc")).version
    two = add(warehouse, replace(DRAFT, origin="2"), words(*distinct_words(50))).version
    diff = service.diff(one.pin, two.pin)
    assert (diff.num_added, len(diff.added)) == (50, NUM_EXAMPLES)


def test_overlaps_tell_equal_inputs_and_near_duplicates(warehouse: Warehouse) -> None:
    train = add(warehouse, DRAFT, words("abcabc", "defdef", "xxxyyy")).version
    suite_draft = replace(DRAFT, name="suite")
    rows = [
        *words("abcabc", label="another"),
        Candidate("line 2", {"text": "fedfed", "label": "a"}),
        Candidate("line 3", {"text": "qqq", "label": "a"}),
    ]
    suite = add(warehouse, suite_draft, rows).version
    overlap = service.overlaps(train.pin, suite.pin, registry.spec("words"))
    assert (overlap.num_exact, overlap.num_near, overlap.clean) == (1, 1, False)
    assert (overlap.train, overlap.suite) == ("tickets@1", "suite@1")
    exact, near = overlap.pairs
    assert (exact.suite_source, exact.train_source) == ("file#line 1", "file#line 1")
    assert (near.suite_source, near.train_source) == ("file#line 2", "file#line 2")
    assert exact.similarity == 1.0
    assert near.similarity >= 0.995
    assert overlap.as_dict()["num_near"] == 1


def test_the_closest_row_is_shown_wherever_it_lies(warehouse: Warehouse) -> None:
    """The training data is seen in blocks; the second holds what is closer still."""
    far, near = "z" * 30 + "a", "z" * 40 + "a"  # both near the suite's row
    fill = distinct_words(300)
    train = add(warehouse, DRAFT, words(far, *fill, near)).version
    suite = add(warehouse, replace(DRAFT, name="suite"), words("a" + "z" * 40)).version
    [pair] = service.overlaps(train.pin, suite.pin, registry.spec("words")).pairs
    assert pair.train_source == "file#line 302"
    assert pair.similarity == 1.0


class Text(str):
    """Counts how many of its kind are held at once."""

    held = most = 0

    def __new__(cls, value: str) -> Text:
        Text.held += 1
        Text.most = max(Text.most, Text.held)
        return super().__new__(cls, value)

    def __del__(self) -> None:
        Text.held -= 1


def test_rows_are_not_held_while_they_are_compared(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = distinct_words(2000)
    train = add(warehouse, DRAFT, words(*many[:1000])).version
    suite = add(warehouse, replace(DRAFT, name="suite"), words(*many[1000:])).version

    def counted(pin: DatasetPin) -> Iterator[StoredRow]:
        for row in iterate_rows(pin):
            yield replace(row, columns={**row.columns, "text": Text(row.columns["text"])})

    monkeypatch.setattr(diffing, "iterate_rows", counted)
    assert service.overlaps(train.pin, suite.pin, registry.spec("words")).clean
    assert 200 < Text.most <= 2 * 256 + 2


def test_nothing_shared_is_clean(warehouse: Warehouse) -> None:
    many = distinct_words(40)
    train = add(warehouse, DRAFT, words(*many[:20])).version
    suite = add(warehouse, replace(DRAFT, name="suite"), words(*many[20:])).version
    assert service.overlaps(train.pin, suite.pin, registry.spec("words")).clean


def test_pictures_overlap_by_what_they_show(warehouse: Warehouse) -> None:
    def pictures(*seeds: int) -> list[Candidate]:
        return [Candidate(f"{s}", {"image": png(s), "label": "7"}) for s in seeds]

    train = add(warehouse, Draft("p", "vision", "1"), pictures(1, 2, 3)).version
    suite = add(warehouse, Draft("s", "vision", "1"), pictures(3, 4)).version
    overlap = service.overlaps(train.pin, suite.pin, registry.spec("vision"))
    assert (overlap.num_exact, overlap.num_near) == (1, 0)
