"""The templates of the two splits have nothing in common."""

from __future__ import annotations

import pytest

from dizuo.demo.hotline.government import EVENTS
from dizuo.demo.hotline.model import Language, Split
from dizuo.demo.hotline.phrasing import PHRASINGS, URGENCY, urgency_phrases


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("part", ["bodies", "leads", "tails", "openings", "closings", "orders"])
def test_templates_are_disjoint(language: Language, part: str) -> None:
    train, heldout = (set(getattr(PHRASINGS[language, split], part)) for split in Split)
    assert train
    assert heldout
    assert train.isdisjoint(heldout)


def test_every_body_names_place_and_event_once() -> None:
    for phrasing in PHRASINGS.values():
        for body in phrasing.bodies:
            assert (body.count("{place}"), body.count("{event}")) == (1, 1)
        for order in phrasing.orders:
            clauses = order.split()
            assert len(clauses) == len(set(clauses))
            assert {"body", "urgency"} <= set(clauses) <= {"body", "urgency", "opening", "closing"}


def test_a_phrase_has_one_urgency() -> None:
    for levels in URGENCY.values():
        phrases = [phrase for level in levels.values() for phrase in level]
        assert len(phrases) == len(set(phrases)) == 15


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("level", ["high", "normal", "low"])
def test_mixes_of_event_and_urgency_are_disjoint(language: Language, level: str) -> None:
    for event in EVENTS:
        train, heldout = (urgency_phrases(language, level, event.category, s) for s in Split)
        assert (len(train), len(heldout)) == (4, 1)
        assert {*train, *heldout} == set(URGENCY[language][level])


def test_every_phrase_is_held_out_beside_some_event() -> None:
    heldout = {
        phrase
        for event in EVENTS
        for phrase in urgency_phrases(Language.CHINESE, "high", event.category, Split.HELDOUT)
    }
    assert heldout == set(URGENCY[Language.CHINESE]["high"])
