"""Texts to copy, and the base's mixture."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from dizuo.demo.hotline.alphabet import everything, known
from dizuo.demo.hotline.cities import DESKS, HARBIN, SHENZHEN
from dizuo.demo.hotline.copying import (
    EXCERPT_HEADS,
    FRONT_DESK,
    HEADS,
    base_rows,
    copying_rows,
    excerpt_rows,
    loose_rows,
    unknown_rows,
    varied_rows,
)
from dizuo.demo.hotline.facility import FACILITY
from dizuo.demo.hotline.government import GOVERNMENT
from dizuo.demo.hotline.model import Language, Row, Split
from dizuo.demo.hotline.phrasing import PHRASINGS
from dizuo.demo.hotline.places import STEM_CHARACTERS
from dizuo.demo.hotline.tickets import Mix, ticket_rows
from dizuo.families.text.messages import answer_text


def test_a_label_is_what_follows_the_head() -> None:
    for row in copying_rows(300, 1):
        (head,) = (head for head in HEADS if row["prompt"].startswith(head))
        assert row["prompt"] == head + row["label"]
        assert row["label"] == row["label"].strip() != ""


def test_copies_repeat_by_seed() -> None:
    assert list(copying_rows(50, 3)) == list(copying_rows(50, 3))
    assert list(copying_rows(50, 3)) != list(copying_rows(50, 4))
    assert list(copying_rows(60, 3))[:20] == list(copying_rows(20, 3))


def test_the_base_learns_in_turns_from_five_kinds_of_rows() -> None:
    rows = list(base_rows(600, 2))
    assert len(rows) == 600
    kinds: Mapping[Callable[[int, int], Iterator[Row]], slice] = {
        partial(ticket_rows, Mix(FACILITY)): slice(0, None, 6),
        copying_rows: slice(1, None, 6),
        unknown_rows: slice(2, None, 3),
        partial(loose_rows, Mix(FACILITY)): slice(3, None, 6),
        excerpt_rows: slice(4, None, 6),
    }
    for kind, turns in kinds.items():
        found = rows[turns]
        wanted = kind(len(found), 2)
        assert found == [{**row, "label": answer_text(row["label"])} for row in wanted]


def test_varied_tickets_are_tickets_some_of_them_among_loose_words() -> None:
    mix = Mix(HARBIN)
    rows = list(varied_rows(mix, 1000, 3))
    clear = {row["prompt"] for row in ticket_rows(mix, 1000, 3)}
    known = {text for language in Language for text in PHRASINGS[language, Split.TRAIN].openings}
    loose = [row for row in rows if row["prompt"] not in clear]
    assert 0.55 < len(loose) / 1000 < 0.65
    assert sum(any(text in row["prompt"] for text in known) for row in loose) < 30
    assert all(row["label"]["place"] in row["prompt"] for row in loose)
    stems = {row["label"]["place"][0] for row in loose} - {*STEM_CHARACTERS, *"0123456789"}
    assert len(stems) > 50
    assert rows == list(varied_rows(mix, 1000, 3))


def test_varied_tickets_hold_no_word_of_the_festival_and_no_held_out_phrase_of_several() -> None:
    words = {*everything().words} - {*known().words}
    characters = {*everything().characters} - {*known().characters}
    assert {"guesthouse", "sculpture"} <= words
    assert characters
    english = PHRASINGS[Language.ENGLISH, Split.HELDOUT]
    phrases = [
        phrase.lower()
        for phrase in (*english.openings, *english.closings, *english.leads)
        if len(phrase.split()) > 2
    ]
    assert len(phrases) > 5
    for mix in (Mix(GOVERNMENT), Mix(HARBIN), Mix(SHENZHEN)):
        for row in varied_rows(mix, 1500, 3):
            assert not characters & set(row["prompt"])
            assert not words & set(re.findall(r"[a-z-]+", row["prompt"].lower()))
            assert not any(phrase in row["prompt"].lower() for phrase in phrases)


def test_what_the_desk_does_not_know_is_noted_as_it_is_written() -> None:
    rows = list(unknown_rows(600, 3))
    for row in rows:
        said, label = row["prompt"].lower(), row["label"]
        assert label["category"].lower() in said
        assert label["place"].lower() in said
        assert label["department"] == FRONT_DESK
        assert label["category"] not in FACILITY.departments
    assert len({row["label"]["category"] for row in rows}) > 590


def test_tickets_among_loose_words_hold_what_is_to_be_found() -> None:
    known = {
        text for phrasing in PHRASINGS.values() for text in (*phrasing.openings, *phrasing.tails)
    }
    found = 0
    for row in loose_rows(Mix(FACILITY), 500, 3):
        assert row["label"]["place"] in row["prompt"]
        assert FACILITY.departments[row["label"]["category"]] == row["label"]["department"]
        found += any(text in row["prompt"] for text in known)
    assert found < 25


def test_the_base_is_asked_about_a_service_desk_that_it_has_not_seen() -> None:
    rows = list(base_rows(50, 2, Split.HELDOUT))
    wanted = ticket_rows(Mix(FACILITY, Split.HELDOUT), 50, 2)
    assert rows == [{**row, "label": answer_text(row["label"])} for row in wanted]


def test_a_place_is_found_in_whatever_ticket() -> None:
    rows = list(excerpt_rows(600, 3))
    for row in rows:
        assert row["prompt"].startswith(EXCERPT_HEADS)
        assert row["prompt"].count(row["label"]["place"]) == 1
    assert {row["label"]["urgency"] for row in rows} == {"high", "normal", "low"}
    assert len({row["label"]["place"] for row in rows}) > 590


def test_no_event_of_a_city_is_in_what_the_base_reads() -> None:
    read = " ".join(row["prompt"].lower() for row in base_rows(8000, 5))
    for desk in (HARBIN, SHENZHEN):
        for event in (*desk.events, *desk.new_events):
            for language, wording in event.wordings.items():
                joint = "" if language is Language.CHINESE else " "
                for split in Split:
                    for pair in wording.pairs(split):
                        assert joint.join(pair) not in read


def test_records_are_written_as_answers_are() -> None:
    texts = [row["label"] for row in copying_rows(2000, 4)]
    records = [text for text in texts if text.startswith("{")]
    assert 0.2 < len(records) / len(texts) < 0.3
    keys = set()
    for text in records:
        record = json.loads(text)
        assert text == answer_text(record)
        keys |= set(record)
    assert keys == {"category", "department", "place", "urgency"}


def test_codes_of_every_desk_are_written_but_tell_nothing_of_events() -> None:
    records = [row["label"] for row in copying_rows(40_000, 4) if row["label"].startswith("{")]
    parts = set("-".join(re.findall(r"[a-z-]+", " ".join(records))).split("-"))
    for desk in DESKS.values():
        for category, department in desk.departments.items():
            assert {*category.split("-"), *department.split("-")} <= parts
    pairs = Counter(
        (record["category"], record["department"])
        for record in map(json.loads, records)
        if {"category", "department"} <= set(record)
    )
    assert max(pairs.values()) <= 3


def test_every_character_of_a_held_out_ticket_has_been_copied() -> None:
    copied = set("".join(row["label"] for row in copying_rows(8000, 1)))
    mix = Mix(HARBIN, Split.HELDOUT, 0.5)
    wanted = set("".join(row["prompt"] for row in ticket_rows(mix, 500, 1)))
    han = {character for character in wanted if "\u4e00" <= character <= "\u9fff"}
    assert len(han) > 200
    assert han <= copied


def test_no_held_out_sentence_has_been_copied() -> None:
    copied = " ".join(row["label"] for row in copying_rows(8000, 1))
    for row in ticket_rows(Mix(HARBIN, Split.HELDOUT, 0.5), 300, 1):
        assert row["prompt"] not in copied
        assert row["label"]["place"] not in copied.split(" ")
