"""Loose texts and what they are drawn from."""

from __future__ import annotations

import random

import pytest

from dizuo.demo.hotline.alphabet import Alphabet, everything, of_events, of_frames
from dizuo.demo.hotline.cities import DESKS
from dizuo.demo.hotline.model import Language
from dizuo.demo.hotline.phrasing import PHRASINGS


def test_what_events_and_what_frames_are_written_in_have_nothing_in_common() -> None:
    for one in (of_events(), of_frames()):
        assert len(one.characters) > 200
        assert len(one.words) > 200
        assert set(one.characters) <= set(everything().characters)
        assert set(one.words) <= set(everything().words)
    assert not set(of_events().characters) & set(of_frames().characters)
    assert not set(of_events().words) & set(of_frames().words)


def test_no_frame_is_written_in_what_only_events_are() -> None:
    frames = "".join(
        text for phrasing in PHRASINGS.values() for text in (*phrasing.bodies, *phrasing.leads)
    )
    assert not set(of_events().characters) & set(frames)


def test_every_event_has_something_that_only_events_have() -> None:
    for desk in DESKS.values():
        for event in desk.events:
            chinese, english = (event.wordings[language] for language in Language)
            assert set("".join(chinese.subjects + chinese.faults)) & set(of_events().characters)
            assert set(" ".join(english.subjects + english.faults).split()) & set(of_events().words)


@pytest.mark.parametrize("language", Language)
def test_a_clause_is_drawn_from_its_alphabet(language: Language) -> None:
    small = Alphabet("水电", ("no", "light"))
    for seed in range(50):
        clause = small.draw_clause(language, random.Random(seed))
        if language is Language.CHINESE:
            assert 2 <= len(clause) <= 8
            assert set(clause) <= set("水电")
        else:
            assert 1 <= len(clause.split(" ")) <= 5
            assert set(clause.split(" ")) <= {"no", "light"}
