"""The drifts of the hotline, and a base that is imported for a measurement."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.rig.hotline import _FORMS, CHANGES, Change
from benchmarks.rig.learning import import_base, right_answers
from tests.families.text.gguf_factory import make_checkpoint

from dizuo.demo.hotline.cities import HARBIN
from dizuo.demo.hotline.model import Language, Split
from dizuo.demo.hotline.tickets import Mix, ticket_rows

KNOWN = {one.category for one in HARBIN.events}


@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize("split", Split)
def test_a_change_makes_tickets_that_say_what_is_to_be_noted(name: str, split: Split) -> None:
    rows = CHANGES[name].rows(200, split, 3)
    assert rows == CHANGES[name].rows(200, split, 3)
    assert len({row["prompt"] for row in rows}) == 200
    for row in rows:
        assert row["label"]["place"] in row["prompt"]
        assert row["label"]["department"] == HARBIN.departments[row["label"]["category"]]


def test_no_change_is_what_the_stack_has_learned() -> None:
    learned = {row["label"]["category"] for row in ticket_rows(Mix(HARBIN), 400, 1)}
    assert {row["label"]["category"] for row in Change().rows(400, Split.HELDOUT, 1)} == learned


def test_winter_has_events_of_its_own_and_the_others_have_not() -> None:
    for name, change in CHANGES.items():
        found = {row["label"]["category"] for row in change.rows(400, Split.HELDOUT, 2)}
        assert (found > KNOWN) == (name == "winter")
        assert found >= KNOWN


def test_the_dialect_says_known_things_in_words_of_its_own() -> None:
    told = {one.category: one for one in CHANGES["dialect"].desk.events}
    changed = [one for one in HARBIN.events if told[one.category] is not one]
    assert len(changed) == 6
    for one in changed:
        for language, wording in one.wordings.items():
            other = told[one.category].wordings[language]
            assert not set(wording.subjects) & set(other.subjects)
            assert not set(wording.faults) & set(other.faults)


def test_a_form_is_written_unlike_a_ticket() -> None:
    marks = ("#", ">", "@", "|", "=", ":")
    for split in Split:
        usual = [row["prompt"] for row in Change().rows(300, split, 4)]
        form = [row["prompt"] for row in CHANGES["form"].rows(300, split, 4)]
        assert all(any(mark in prompt for mark in marks) for prompt in form)
        assert sum(any(mark in prompt for mark in marks[:4]) for prompt in usual) == 0


def test_held_out_forms_have_no_text_in_common_with_those_that_are_learned_from() -> None:
    fields = ("bodies", "leads", "tails", "openings", "closings", "orders")
    for language in Language:
        learned, held_out = (_FORMS[split][language] for split in (Split.TRAIN, Split.HELDOUT))
        for field in fields:
            assert not set(getattr(learned, field)) & set(getattr(held_out, field))


def test_a_base_is_imported_as_a_hub_does_it(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "model", "qwen3")
    base = import_base("text", tmp_path / "model", "gguf-f16", tmp_path / "base")
    assert (base.trained.target, base.exported.target) == ("safetensors", "gguf-f16")
    rows = list(ticket_rows(Mix(HARBIN), 2, 1))
    assert right_answers(base, rows) == [False, False]
