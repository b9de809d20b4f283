"""Places are made up, and a stem is in one split only."""

from __future__ import annotations

import random

import pytest

from dizuo.demo.hotline.cities import HARBIN
from dizuo.demo.hotline.model import Language, Split
from dizuo.demo.hotline.places import STEM_CHARACTERS, SYLLABLES, Place, draw_place, split_of


def draw_many(language: Language, split: Split, seed: int, num: int = 2000) -> list[Place]:
    draw = random.Random(seed)
    return [draw_place(language, split, draw, districts=HARBIN.districts) for _ in range(num)]


@pytest.mark.parametrize("language", Language)
def test_no_stem_is_in_both_splits(language: Language) -> None:
    train = {place.stem for place in draw_many(language, Split.TRAIN, 1)}
    heldout = {place.stem for place in draw_many(language, Split.HELDOUT, 1)}
    assert len(train) > 500
    assert len(heldout) > 250
    assert train.isdisjoint(heldout)


def test_a_quarter_of_all_stems_is_held_out() -> None:
    chinese = {one + two for one in STEM_CHARACTERS for two in STEM_CHARACTERS}
    english = {(one + two).capitalize() for one in SYLLABLES for two in SYLLABLES}
    for stems in (chinese, english):
        share = sum(split_of(stem) is Split.HELDOUT for stem in stems) / len(stems)
        assert 0.22 < share < 0.28


@pytest.mark.parametrize("language", Language)
def test_a_place_holds_its_stem_and_sometimes_a_district(language: Language) -> None:
    places = draw_many(language, Split.TRAIN, 2)
    assert all(place.stem in place.text for place in places)
    assert all(place.text.isascii() == (language is Language.ENGLISH) for place in places)
    assert HARBIN.districts is not None
    named = [p for p in places if any(d in p.text for d in HARBIN.districts[language])]
    assert 0.15 < len(named) / len(places) < 0.3


def test_an_english_place_begins_alike_inside_a_sentence_and_alone() -> None:
    """It begins with a number or a known word, for a tokenizer joins a space to a name."""
    for place in draw_many(Language.ENGLISH, Split.HELDOUT, 3):
        assert place.text[0].isdigit() or place.text.startswith(("Block", "Building"))


def test_a_desk_without_districts_names_none() -> None:
    draw = random.Random(1)
    places = [draw_place(Language.ENGLISH, Split.TRAIN, draw) for _ in range(300)]
    assert not any("District" in place.text for place in places)
