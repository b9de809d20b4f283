"""Tickets: repeatable, rightly labelled, and held out where they say so."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from dizuo.demo.hotline.cities import DESKS, HARBIN
from dizuo.demo.hotline.model import Desk, Language, Split, Template, Ticket
from dizuo.demo.hotline.phrasing import URGENCY
from dizuo.demo.hotline.tickets import Mix, ticket_rows, tickets


def some(mix: Mix, num: int = 1500, seed: int = 1) -> list[Ticket]:
    return list(islice(tickets(mix, seed), num))


def test_the_same_seed_gives_the_same_tickets_and_another_does_not() -> None:
    mix = Mix(HARBIN)
    assert some(mix, 50, 3) == some(mix, 50, 3)
    assert some(mix, 50, 3) != some(mix, 50, 4)


def test_more_rows_begin_with_the_same_ones() -> None:
    mix = Mix(HARBIN)
    assert list(ticket_rows(mix, 60, 3))[:20] == list(ticket_rows(mix, 20, 3))


@pytest.mark.parametrize("desk", DESKS.values(), ids=DESKS)
def test_the_splits_share_no_text_place_template_wording_or_mix(desk: Desk) -> None:
    train, heldout = (some(Mix(desk, split)) for split in Split)

    def parts(drawn: list[Ticket]) -> list[set[object]]:
        made: list[set[object]] = [
            {one.text for one in drawn},
            {one.place_stem for one in drawn},
            {one.label.place for one in drawn},
            {(one.language, one.wording) for one in drawn},
            {(one.language, one.label.category, one.urgency_phrase) for one in drawn},
        ]
        for part in Template._fields:
            written = {(one.language, getattr(one.template, part)) for one in drawn}
            made.append({(language, text) for language, text in written if text})
        return made

    for seen, unseen in zip(parts(train), parts(heldout), strict=True):
        assert seen.isdisjoint(unseen)


@pytest.mark.parametrize("desk", DESKS.values(), ids=DESKS)
@pytest.mark.parametrize("split", Split)
def test_labels_are_right(desk: Desk, split: Split) -> None:
    mix = Mix(desk, split, 0.5 if desk.new_events else 0.0)
    events = {one.category: one for one in (*desk.events, *desk.new_events)}
    for one in some(mix):
        label = one.label
        assert one.text.count(label.place) == 1
        assert label.department == desk.departments[label.category]
        assert one.wording in events[label.category].wordings[one.language].pairs(split)
        assert one.urgency_phrase in URGENCY[one.language][label.urgency]
        subject, fault = one.wording
        assert subject in one.text or subject.capitalize() in one.text or subject[0] == "m"
        assert fault in one.text
        assert one.urgency_phrase[1:] in one.text


def test_the_text_says_what_was_drawn_and_nothing_is_left_to_fill() -> None:
    for split in Split:
        for one in some(Mix(HARBIN, split, 0.5)):
            assert not set("{}") & set(one.text)
            assert "  " not in one.text
            assert one.text == one.text.strip()
            for mark in ("。。", "，，", "，。", ".."):
                assert mark not in one.text


def test_no_two_tickets_have_the_same_text() -> None:
    texts = [one.text for one in some(Mix(HARBIN), 5000)]
    assert len(set(texts)) == len(texts)


def test_languages_mix() -> None:
    drawn = some(Mix(HARBIN))
    languages = Counter(one.language for one in drawn)
    assert min(languages.values()) > 0.45 * len(drawn)
    foreign = [
        one for one in drawn if one.label.place.isascii() != (one.language is Language.ENGLISH)
    ]
    assert 0.06 < len(foreign) / len(drawn) < 0.14


def test_events_and_urgencies_are_about_equally_frequent() -> None:
    drawn = some(Mix(HARBIN), 3200)
    assert min(Counter(one.label.category for one in drawn).values()) > 140
    assert min(Counter(one.label.urgency for one in drawn).values()) > 950


def test_new_events_come_when_asked_for_and_only_then() -> None:
    new = {one.category for one in HARBIN.new_events}

    def share(mix: Mix) -> float:
        return sum(one.label.category in new for one in some(mix)) / 1500

    assert share(Mix(HARBIN)) == 0
    assert 0.45 < share(Mix(HARBIN, Split.HELDOUT, 0.5)) < 0.55
    assert share(Mix(HARBIN, new_share=1.0)) == 1


def test_a_row_is_a_prompt_and_a_label_with_its_keys_in_order() -> None:
    (row,) = ticket_rows(Mix(HARBIN), 1, 1)
    assert list(row) == ["prompt", "label"]
    assert list(row["label"]) == ["category", "department", "urgency", "place"]
    assert all(isinstance(value, str) for value in (row["prompt"], *row["label"].values()))
