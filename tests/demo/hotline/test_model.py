"""Wordings of the two splits."""

from __future__ import annotations

from dizuo.demo.hotline.model import Split, Wording

WORDING = Wording(("a", "b", "c", "d"), ("1", "2", "3", "4"))


def test_pairs_of_the_splits_are_disjoint_and_complete() -> None:
    train, heldout = WORDING.pairs(Split.TRAIN), WORDING.pairs(Split.HELDOUT)
    assert set(train).isdisjoint(heldout)
    assert (len(set(train)), len(set(heldout))) == (12, 4)


def test_each_part_is_in_both_splits() -> None:
    for split in Split:
        subjects, faults = zip(*WORDING.pairs(split), strict=True)
        assert set(subjects) == set(WORDING.subjects)
        assert set(faults) == set(WORDING.faults)
