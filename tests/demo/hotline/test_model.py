"""Wordings of the two splits, and how an answer is written."""

from __future__ import annotations

from dizuo.demo.hotline.model import Label, Split, Wording, answer_text

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


def test_an_answer_is_compact_json_with_its_keys_in_order() -> None:
    label = Label("bus", "transport-bureau", "low", "春晖路12号")._asdict()
    assert answer_text(label) == (
        '{"category":"bus","department":"transport-bureau","urgency":"low","place":"春晖路12号"}'
    )


def test_an_answer_in_words_is_itself() -> None:
    assert answer_text("春晖路12号") == "春晖路12号"
