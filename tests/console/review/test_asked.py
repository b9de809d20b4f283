"""What the answers behind a sample look like, and what waiting samples are expected to be worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.console.review import review_scene as scene
from tests.datasets.scene import png

from dizuo.console.messages import Language, Words
from dizuo.console.review.asked import Asked, asked_of
from dizuo.console.review.drawing import fields_of
from dizuo.console.review.entries import LABEL, Asking, Entry, entry_for, read_entry, turned
from dizuo.console.review.expected import expect
from dizuo.console.review.jsonform import Form
from dizuo.database.engine import Database
from dizuo.datasets import samples
from dizuo.datasets.adding import Warehouse, add_version
from dizuo.datasets.model import Candidate, Draft
from dizuo.datasets.samples import Tally
from dizuo.datasets.service import root_of
from dizuo.stacks.model import DatasetUse, UsedDataset


def asked(database: Database, home: Path, stack: str, *, family: str = "vision") -> Asked:
    send = scene.send_digits if family == "vision" else scene.send_calls
    [key] = send(database, home, 1, stack)
    with database.reading() as session:
        return asked_of(session, samples.find(session, key))


def test_labels_of_the_recipe_count(database: Database, tmp_path: Path) -> None:
    recipe = scene.vision_recipe("digits", scene.DIGITS)
    stack = scene.add_stack(database, "digits", "vision", recipe)
    assert asked(database, tmp_path, stack) == Asked(labels=scene.DIGITS)


def test_without_them_those_of_the_data_count(database: Database, tmp_path: Path) -> None:
    warehouse = Warehouse(database, root_of(tmp_path))
    rows = [
        Candidate(f"{seed}", {"image": png(seed), "label": label})
        for seed, label in enumerate(["ore", "belt", "ore", "coal"])
    ]
    version = add_version(warehouse, Draft("rocks", "vision", "here"), rows, "operator:ann").version
    used = UsedDataset.of(DatasetUse.TRAIN, version.pin)
    recipe = scene.vision_recipe("rocks", ["a", "b"]).replace(', labels: ["a", "b"]', "")
    stack = scene.add_stack(database, "rocks", "vision", recipe, datasets=(used,))
    assert asked(database, tmp_path, stack).labels == ("belt", "coal", "ore")


def test_without_either_those_of_the_parent_count(database: Database, tmp_path: Path) -> None:
    parent = scene.add_stack(database, "p", "vision", scene.vision_recipe("p", ["x", "y"]))
    stack = scene.add_stack(database, "child", "vision", "", parent_digest=parent)
    assert asked(database, tmp_path, stack).labels == ("x", "y")


def test_the_schema_of_the_recipe_counts(database: Database, tmp_path: Path) -> None:
    stack = scene.add_stack(database, "hotline", "text", scene.text_recipe())
    assert asked(database, tmp_path, stack, family="text").schema == scene.TICKET


@pytest.mark.parametrize("recipe", ["", "name: [", "name: x"])
def test_a_stack_that_says_nothing_is_asked_for_text(
    database: Database, tmp_path: Path, recipe: str
) -> None:
    stack = scene.add_stack(database, "hotline", "text", recipe)
    assert asked(database, tmp_path, stack, family="text") == Asked()


def test_a_stack_of_another_project_tells_nothing(database: Database, tmp_path: Path) -> None:
    recipe = scene.vision_recipe("secret", ["hidden", "names"])
    stack = scene.add_stack(database, "secret", "vision", recipe, project="other")
    assert asked(database, tmp_path, stack) == Asked()
    assert asked(database, tmp_path, "sha256:" + "0" * 64) == Asked()


def test_fields_begin_with_the_answer_and_make_the_label() -> None:
    assert read_entry(entry_for(Asked(labels=("1", "2")), 2)) == ("2", {})
    assert read_entry(entry_for(Asked(labels=("1", "2")), "7"))[1] == {LABEL: ("form.no_label", {})}
    assert read_entry(entry_for(Asked(labels=("1", "2")), ""))[1] == {LABEL: ("form.choose", {})}
    assert read_entry(entry_for(Asked(), "a text")) == ("a text", {})
    assert read_entry(entry_for(Asked(), None))[1] == {LABEL: ("form.needed", {})}
    assert read_entry(entry_for(Asked(), {"a": [1]})) == ({"a": [1]}, {})
    assert read_entry(Entry({})) == (None, {LABEL: ("form.needed", {})})


@pytest.mark.parametrize(
    "sent",
    [None, [], "save", {}, {"what": "save"}, {"what": 1, "path": "", "drawn": "1", "given": {}}],
)
def test_what_no_page_of_ours_sends_is_nothing(sent: object) -> None:
    assert Asking.of(sent) is None


def test_what_is_too_much_is_nothing() -> None:
    good = {"what": "save", "path": "", "drawn": "1", "given": {"a": "b", "c": 7}}
    read = Asking.of([good])
    assert read is not None
    assert read.given == {"a": "b"}
    assert Asking.of(good | {"given": {"a": "x" * 2_000_001}}) is None


def test_corrections_are_expected_by_reason() -> None:
    found = expect([Tally("control", 100, 0, 0), Tally("uncertain", 200, 50, 10)])
    assert found.num_unknown == 100
    assert found.corrections is not None
    low, about, high = found.corrections
    assert about == pytest.approx(40)
    assert (round(low), round(high)) == (22, 66)  # Wilson: 0.112 to 0.330
    both = expect([Tally("control", 100, 50, 1), Tally("uncertain", 200, 50, 10)]).corrections
    assert both is not None
    assert both[1] == pytest.approx(42)
    assert expect([Tally("control", 5, 0, 0)]).corrections is None
    assert expect([]).corrections is None


@pytest.mark.parametrize("answer", [" text\n", "a\r\nb", "\ttext"])
def test_a_text_that_nobody_changed_is_the_label_with_its_blanks(answer: str) -> None:
    entry = entry_for(Asked(), answer)
    sent = entry.given[LABEL]
    assert "\r" not in sent  # as a browser has it
    assert read_entry(entry) == (answer, {})
    changed = replace(entry, given={**entry.given, LABEL: sent + "!\n"})
    assert read_entry(changed)[0] == (sent + "!").strip()
    assert read_entry(replace(entry, given={**entry.given, LABEL: " "}))[0] is None


def test_a_browser_gets_the_first_line_end_of_a_text() -> None:
    words = Words(Language.ENGLISH)
    assert ">\n\n text</textarea>" in fields_of(words, entry_for(Asked(), "\n text"))
    note = {"type": "object", "properties": {"note": {"type": "string"}}}
    drawn = fields_of(words, entry_for(Asked(schema=note), {"note": "\ntext"}))
    assert ">\n\ntext</textarea>" in drawn


@pytest.mark.parametrize(
    "asked_for",
    [
        Asked(),
        Asked(labels=("a", "b")),
        Asked(labels=scene.PLANTS),
        Asked(schema=scene.TICKET),
        Asked(schema={"type": "array", "items": {"type": "string"}}),
        Asked(schema={"type": "string"}),
    ],
)
def test_the_fields_are_described_by_the_sample_and_its_answer(asked_for: Asked) -> None:
    drawn = fields_of(Words(Language.ENGLISH), entry_for(asked_for, "a"))
    assert drawn.count('aria-describedby="desk-sample desk-answer"') == 1
    faulty = replace(entry_for(asked_for, "a"), faults={LABEL: ("form.needed", {})})
    both = 'aria-describedby="field-label-fault desk-sample desk-answer"'
    assert (both in fields_of(Words(Language.ENGLISH), faulty)) == (asked_for.schema is None)


def test_what_no_field_is_for_is_told() -> None:
    names = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"names": names}}
    answer = {"names": ["x"] * 120, "other": 7}
    drawn = fields_of(Words(Language.ENGLISH), entry_for(Asked(schema=schema), answer))
    assert "20 more stay as they are." in drawn
    assert "Stays as it is: {&#34;other&#34;:7}" in drawn


@pytest.mark.parametrize(
    ("is_raw", "given", "fault"),
    [
        (False, {"/people": "abc"}, ("/people", "form.no_number")),
        (False, {"/people": "NaN"}, ("/people", "form.no_value")),
        (True, {"": '{"people": }'}, ("", "form.not_json")),
        (True, {"": '{"callers": 7}'}, ("", "form.not_as_asked")),
        (True, {"": '["noise"]'}, ("", "form.not_as_asked")),
    ],
)
def test_what_was_typed_and_is_no_value_stays_as_it_is(
    is_raw: bool, given: dict[str, str], fault: tuple[str, str]
) -> None:
    form = Form(scene.TICKET, is_raw=is_raw)
    entry = Entry({"/category": '"noise"', **given}, form=form)
    found = turned(entry)
    assert (found.form, found.given) == (form, entry.given)
    place, key = fault
    assert found.faults[place][0] == key


def test_a_form_turns_into_json_and_back_with_what_is_still_to_be_said() -> None:
    answer = {"category": "noise", "people": "many", "callers": [{"name": "x"}]}
    entry = entry_for(Asked(schema=scene.TICKET), answer | {"people": 2})
    as_json = turned(entry)
    assert as_json.form == Form(scene.TICKET, is_raw=True)
    assert (turned(as_json).form, turned(as_json).faults) == (entry.form, {})
    back = turned(Entry({"": json.dumps(answer)}, form=Form(scene.TICKET, is_raw=True)))
    assert (back.given["/people"], back.given["/callers/0/name"]) == ('"many"', "x")
    assert turned(Entry({"label": "x"})) == Entry({"label": "x"})


def test_an_item_that_is_still_empty_keeps_its_place() -> None:
    numbers = {"type": "array", "items": {"type": "integer"}}
    form = Form({"type": "object", "properties": {"sizes": numbers}})
    entry = Entry({"/sizes#": "3", "/sizes/0": "1", "/sizes/1": "", "/sizes/2": "3"}, form=form)
    assert json.loads(turned(entry).given[""]) == {"sizes": [1, None, 3]}
    assert turned(turned(entry)).given == entry.given
