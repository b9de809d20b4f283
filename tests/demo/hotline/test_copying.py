"""Texts to copy, and the base's mixture."""

from __future__ import annotations

from dizuo.demo.hotline.cities import HARBIN
from dizuo.demo.hotline.copying import HEADS, base_rows, copying_rows
from dizuo.demo.hotline.facility import FACILITY
from dizuo.demo.hotline.model import Split
from dizuo.demo.hotline.tickets import Mix, ticket_rows


def test_a_label_is_what_follows_the_head() -> None:
    for row in copying_rows(300, 1):
        (head,) = (head for head in HEADS if row["prompt"].startswith(head))
        assert row["prompt"] == head + row["label"]
        assert row["label"] == row["label"].strip() != ""


def test_copies_repeat_by_seed() -> None:
    assert list(copying_rows(50, 3)) == list(copying_rows(50, 3))
    assert list(copying_rows(50, 3)) != list(copying_rows(50, 4))
    assert list(copying_rows(60, 3))[:20] == list(copying_rows(20, 3))


def test_the_base_learns_in_turns_from_a_service_desk_and_from_copying() -> None:
    rows = list(base_rows(401, 2))
    assert len(rows) == 401
    assert rows[::2] == list(ticket_rows(Mix(FACILITY), 201, 2))
    assert rows[1::2] == list(copying_rows(200, 2))


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
