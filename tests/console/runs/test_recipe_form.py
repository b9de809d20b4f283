"""A recipe's text and its form: what is typed is kept, and what is wrong is found at its field."""

from __future__ import annotations

import re

import pytest
from tests.console.runs.runs_scene import recipe

from dizuo.artifacts.model import Level
from dizuo.console.messages import Language, Words
from dizuo.console.runs.recipe_draft import RecipeDraft
from dizuo.console.runs.recipe_fields import Bounds, Field, Input, schema_fields, schema_of, written
from dizuo.console.runs.recipe_form import RecipeForm
from dizuo.console.runs.recipe_markup import SECTIONS, FormMarkup, field_id, listing, yaml_editor
from dizuo.families import registry
from dizuo.stacks.errors import RecipeRefused
from dizuo.stacks.recipe import parse_recipe

WORDS = Words(Language.ENGLISH)
TEXT = """\
name: tickets
level: L1
family: text
from: qwen3:1
data: {train: tickets@1}
method: {kind: lora, rank: 8, epochs: 3, learning_rate: 0.0001}
task: {kind: answer}
gates:
  - {suite: tickets-test@1, metric: exact_match, at_least: 0.5}
targets: [safetensors, gguf-q4_0]
"""


def form_of(text: str) -> RecipeForm:
    return RecipeForm(RecipeDraft(text))


def test_a_change_keeps_comments_order_and_all_else() -> None:
    draft = RecipeDraft(recipe())
    draft.put(("method", "epochs"), 7)
    before, after = recipe().splitlines(), draft.text.splitlines()
    assert after[0] == "# how we read bars"
    assert "  epochs: 7" in after
    assert [line.split(":")[0] for line in after if line[:1].isalpha()] == [
        line.split(":")[0] for line in before if line[:1].isalpha()
    ]


def test_a_key_that_is_added_stands_where_people_look_for_it() -> None:
    draft = RecipeDraft("name: a\nlevel: L1\ntargets: [x]\n")
    draft.put(("data", "train"), "rows@1")
    draft.put(("family",), "text")
    assert list(draft.values()) == ["name", "level", "family", "data", "targets"]


def test_a_group_that_says_nothing_goes() -> None:
    draft = RecipeDraft("data: {train: rows@1}\n")
    draft.put(("data", "replay", "share"), 0.2)
    assert draft.value(("data", "replay")) == {"share": 0.2}
    draft.put(("data", "replay", "share"), None)
    assert draft.values() == {"data": {"train": "rows@1"}}


@pytest.mark.parametrize(("text", "line"), [("name: [\n", 2), ("a: 1\n\tb: 2\n", 2), ("- a\n", 1)])
def test_of_what_is_no_recipe_no_form_is_made(text: str, line: int) -> None:
    draft = RecipeDraft(text)
    with pytest.raises(RecipeRefused) as refused:
        draft.values()
    assert refused.value.problems[0].line == line
    with pytest.raises(RecipeRefused):
        draft.put(("name",), "a")
    assert draft.text == text


def test_a_form_begins_with_nothing() -> None:
    form = form_of("")
    assert form.draft.values() == {}
    assert (form.family, form.level, form.targets) == ("", None, ())
    form.change(("family",), "vision")
    form.change(("level",), "L0")
    assert form.draft.value(("method", "kind")) == "pretrain"
    assert form.draft.value(("method", "architecture", "type")) == "resnet"
    assert form.draft.value(("from",)) == "scratch"
    assert form.draft.value(("targets",)) == ["safetensors", "onnx"]


def test_another_level_and_another_family_bring_their_own_fields() -> None:
    form = form_of(TEXT)
    assert ("method", "rank") in {field.path for field in form.fields()}
    assert form.change(("level",), "L0")
    assert form.draft.value(("method", "kind")) == "pretrain"
    assert ("from",) not in {field.path for field in form.fields()}
    assert ("method", "rank") in {field.path for field in form.fields()}, "typed, so shown"
    form.change(("level",), "L1")
    assert form.draft.value(("from",)) is None
    form.change(("family",), "vision")
    assert form.draft.value(("task", "kind")) == "classify"
    assert form.draft.value(("targets",)) == ["safetensors", "onnx"]


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        (("method", "epochs"), " 12 ", 12),
        (("method", "learning_rate"), "1e-3", 0.001),
        (("method", "epochs"), "many", "many"),
        (("method", "epochs"), "inf", "inf"),
        (("method", "epochs"), "", None),
        (("method", "architecture", "hidden_sizes"), "4, 8，16", [4, 8, 16]),
        (("method", "architecture", "hidden_sizes"), "4, x", [4, "x"]),
        (("method", "architecture", "image", "channels"), "3", 3),
        (("method", "architecture", "image", "channels"), "2", "2"),
        (("method", "architecture", "downsample_in_first_stage"), "true", True),
        (("task", "labels"), "1, 7", ["1", "7"]),
        (("name",), "meter reading", "meter reading"),
    ],
)
def test_what_is_typed_is_kept_as_what_it_is(
    path: tuple[str, ...], text: str, value: object
) -> None:
    form = form_of(recipe())
    form.change(path, text)
    assert form.draft.value(path) == value


def test_a_field_that_is_gone_changes_nothing() -> None:
    form = form_of(recipe())
    before = form.draft.text
    assert not form.change(("method", "rank"), "8")
    assert form.draft.text == before


def test_structures_are_typed_as_yaml() -> None:
    form = form_of(TEXT)
    form.change(("task", "kind"), "extract")
    schema = ("task", "schema")
    form.change(schema, '{"type": "object", "required": [a]}')
    assert form.draft.value(schema) == {"type": "object", "required": ["a"]}
    form.change(schema, "{")
    assert form.draft.value(schema) == "{"


def test_gates_come_change_and_go() -> None:
    form = form_of(recipe())
    form.add_gate()
    form.set_condition(1, "not_worse_than")
    form.change(("gates", 1, "suite"), "bars-test@1")
    form.change(("gates", 1, "metric"), "accuracy")
    parse_recipe(form.draft.text)
    form.set_condition(1, "p95_latency_ms_at_most")
    assert form.draft.value(("gates", 1, "metric")) is None or "metric" in form.draft.text
    form.set_condition(1, "nothing that is known")
    form.change(("gates", 1, "p95_latency_ms_at_most"), "")
    assert form.gates()[1].condition == "p95_latency_ms_at_most", "an empty threshold is still one"
    form.remove_gate(1)
    assert [gate.condition for gate in form.gates()] == ["at_least"]
    parse_recipe(form.draft.text)


def test_a_gate_of_two_conditions_shows_what_was_typed() -> None:
    form = form_of(TEXT.replace("at_least: 0.5", "at_least: 0.5, drop_at_most: 0.1"))
    (gate,) = form.gates()
    assert gate.condition == ""
    assert {field.key for field in gate.fields} == {"suite", "metric", "at_least", "drop_at_most"}


def test_targets_are_chosen_in_the_family_s_order() -> None:
    form = form_of(TEXT)
    form.choose_target("gguf-f16", is_chosen=True)
    form.choose_target("gguf-q4_0", is_chosen=False)
    assert form.draft.value(("targets",)) == ["safetensors", "gguf-f16"]


@pytest.mark.parametrize("family", sorted(registry.family_packages()))
@pytest.mark.parametrize("level", list(Level))
def test_every_schema_becomes_fields_of_known_inputs(family: str, level: Level) -> None:
    schema = schema_of(family, level)
    assert schema.methods
    assert schema.tasks
    for part, schemas in (("method", schema.methods), ("task", schema.tasks)):
        for kind, one in schemas.items():
            assert one["properties"]["kind"]["const"] == kind
            fields = schema_fields((part,), one)
            assert {field.path[1] for field in fields} == set(one["properties"]) - {"kind"}


def problems(text: str) -> RecipeRefused:
    with pytest.raises(RecipeRefused) as refused:
        parse_recipe(text)
    return refused.value


@pytest.mark.parametrize(
    ("old", "new", "section", "field"),
    [
        ("epochs: 4", "epochs: many", "method", ("method", "epochs")),
        ("epochs: 4", "epochs: 0", "method", ("method", "epochs")),
        ("  epochs: 4\n", "", "method", ("method", "epochs")),
        ("epochs: 4", "epochs: 4\n  speed: 3", "method", ("method", "speed")),
        ("height: 8", "height: 1", "method", ("method", "architecture", "image", "height")),
        ("hidden_sizes: [4, 8]", "hidden_sizes: [4, 1]", "method", None),
        ("name: bars", "name: Bars!", "basics", ("name",)),
        ("bars@1}", "bars}", "data", ("data", "train")),
        ("at_least: 0.1", "at_least: 7", "gates", ("gates", 0, "at_least")),
        ("metric: accuracy", "metric: luck", "gates", ("gates", 0, "metric")),
        (", onnx]", ", tarot]", "targets", None),
        ("family: vision", "family: vision\ncolour: red", "basics", ("colour",)),
    ],
)
def test_each_mistake_is_told_at_its_field(
    old: str, new: str, section: str, field: tuple[str | int, ...] | None
) -> None:
    assert old in recipe()
    text = recipe().replace(old, new)
    refused = problems(text)
    markup = FormMarkup(WORDS, form_of(text), refused.problems)
    drawn = {name: str(markup.section(name)) for name in SECTIONS}
    assert [name for name, one in drawn.items() if "field-error" in one] == [section]
    for problem in refused.problems:
        assert problem.message.replace("'", "&#39;") in drawn[section]
    if field is not None:
        assert f'id="{field_id(field)}-error"' in drawn[section]
    lines = str(yaml_editor(WORDS, text, refused.problems))
    assert f"Line {refused.problems[0].line}, " in lines


def test_nothing_typed_becomes_markup() -> None:
    text = recipe().replace("name: bars", "name: <b>bars</b>")
    markup = FormMarkup(WORDS, form_of(text), problems(text).problems)
    drawn = (
        str(markup.section("basics"))
        + str(yaml_editor(WORDS, text, ()))
        + str(listing(text, "<i>"))
    )
    assert "<b>" not in drawn
    assert "<i>" not in drawn


def test_hints_tell_bounds_and_defaults() -> None:
    form = form_of(recipe())
    markup = FormMarkup(WORDS, form, ())
    drawn = str(markup.section("method"))
    assert "1 – 1000" in drawn
    assert "2 – 4096 · 64 by default" in drawn
    assert "&gt; 0, ≤ 1" in drawn
    half = Field(("a",), Input.NUMBER, bounds=Bounds(0.5, 1, True, True))
    assert "&gt; 0.5, &lt; 1" in str(markup.field(half))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (0.1, "0.1"), (1e-5, "1e-05"), (0.123456789, "0.123456789")],
)
def test_values_as_they_stand_in_fields(value: object, text: str) -> None:
    assert written(value) == text


def test_what_is_wrong_is_told_in_the_readers_language_alone() -> None:
    wrong = TEXT.replace("name: tickets", "name: Our Tickets").replace("rank: 8", "rank: many")
    wrong = wrong.replace("kind: answer", "kind: sing").replace("exact_match", "exact_mach")
    wrong = wrong.replace("train: tickets@1", "train: tickets, colour: red")
    with pytest.raises(RecipeRefused) as caught:
        parse_recipe(wrong)
    assert len(caught.value.problems) >= 6
    told = str(yaml_editor(Words(Language.CHINESE), "", caught.value.problems))
    told = re.sub("<[^>]*>", " ", told)
    assert "method.rank 有误：须为整数。" in told
    assert "该模型族没有指标" in told
    assert re.findall("[a-z]+ [a-z]+ [a-z]+", told) == []
