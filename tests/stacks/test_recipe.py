"""Bad recipes, each with the line and the sentence that a person sees."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stacks.scene import BASE_RECIPE, RECIPE

from dizuo.artifacts.model import Level
from dizuo.artifacts.reference import Reference
from dizuo.families.base import Problem
from dizuo.gates.rules import AtLeast
from dizuo.stacks.errors import RecipeProblem, RecipeRefused
from dizuo.stacks.recipe import Replay, parse_recipe


def problems_of(text: str | bytes) -> tuple[RecipeProblem, ...]:
    with pytest.raises(RecipeRefused) as refused:
        parse_recipe(text, "reader.yaml")
    return refused.value.problems


def changed(old: str, new: str, text: str = RECIPE) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_a_recipe_is_read_whole() -> None:
    recipe = parse_recipe(RECIPE, "reader.yaml")
    assert (recipe.name, recipe.level, recipe.family) == ("reader", Level.L1, "tally")
    assert recipe.parent == Reference("default", "alphabet", 1)
    assert (recipe.train, recipe.replay) == ("words@1", None)
    assert (recipe.method, recipe.task) == ({"kind": "memorise"}, {"kind": "read"})
    assert recipe.gates[0] == AtLeast("words-test@1", "exact_match", 0.9)
    assert len(recipe.gates) == 4
    assert recipe.targets == ("safetensors", "table")
    assert (recipe.seed, recipe.description) == (7, "Reads words.")
    assert (recipe.text, recipe.source_name) == (RECIPE, "reader.yaml")


def test_a_base_starts_from_scratch_and_needs_no_gates() -> None:
    recipe = parse_recipe(BASE_RECIPE)
    assert (recipe.level, recipe.parent, recipe.gates) == (Level.L0, None, ())
    assert (recipe.seed, recipe.task) == (0, {})


def test_replay_keeps_what_the_parent_knew() -> None:
    text = changed("words@1\n", "words@1\n  replay: {dataset: letters@2, share: 0.2}\n")
    assert parse_recipe(text).replay == Replay("letters@2", 0.2)


PREFERENCES = """
name: hotline
level: L2
family: text
from: government:1
data:
  train: corrections@1
  replay: {dataset: tickets@1, share: 0.2}
method: {kind: dpo, rank: 8, epochs: 1, learning_rate: 0.001}
gates:
  - {suite: tickets-test@1, metric: exact_match, at_least: 0.9}
targets: [safetensors, gguf-f16]
"""


def test_a_family_refuses_to_replay_where_a_method_cannot() -> None:
    with pytest.raises(RecipeRefused) as refused:
        parse_recipe(PREFERENCES)
    (problem,) = refused.value.problems
    assert (problem.line, problem.path) == (8, ("data", "replay"))
    assert problem.message.startswith("The method dpo cannot replay rows")
    assert parse_recipe(changed("dpo", "lora", PREFERENCES)).replay == Replay("tickets@1", 0.2)


def test_bytes_are_read_as_utf8() -> None:
    assert parse_recipe(RECIPE.replace("Reads words.", "读字").encode()).description == "读字"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("name: reader\n", "", 2, "A recipe needs 'name'."),
        ("name: reader", "name: Reader", 2, "'Reader' is not a name."),
        ("name: reader", "name: 7", 2, "'name' must be a text, not the number 7."),
        ("name: reader", "nmae: reader", 2, "A recipe needs 'name'."),
        ("level: L1", "level: l1", 3, "'level' cannot be 'l1'."),
        ("level: L1", "level: 1", 3, "'level' must be a text, not the number 1."),
        ("level: L1\n", "", 2, "A recipe needs 'level'."),
        ("family: tally", "family: taly", 4, "'family' cannot be 'taly'."),
        ("family: tally", "family: [tally]", 4, "'family' must be a text, not a list."),
        ("from: alphabet:1\n", "", 2, "A recipe needs 'from'."),
        ("from: alphabet:1", "from: alphabet", 5, "'alphabet' does not say which version."),
        ("from: alphabet:1", "from: Alphabet:1", 5, "'Alphabet:1' is not a reference to a stack."),
        ("from: alphabet:1", "from: alphabet:0", 5, "'alphabet:0' is not a reference to a stack."),
        (
            "from: alphabet:1",
            "from: scratch",
            5,
            "An L1 recipe is built on a stack, not from scratch.",
        ),
        ("data:\n  train: words@1\n", "", 2, "A recipe needs 'data'."),
        ("data:\n  train: words@1\n", "data: words@1\n", 6, "Data must be a mapping"),
        ("  train: words@1\n", "  rows: words@1\n", 6, "Data needs 'train'."),
        ("train: words@1", "train: words", 7, "'words' does not say which version."),
        ("train: words@1", "train: words@latest", 7, "does not say which version."),
        ("train: words@1", "train: WORDS@1", 7, "'WORDS@1' does not name a dataset version."),
        (
            "words@1\n",
            "words@1\n  replay: letters@2\n",
            8,
            "Replay must be a mapping, not the text 'letters@2'.",
        ),
        (
            "words@1\n",
            "words@1\n  replay: {dataset: letters@2, share: 1}\n",
            8,
            "'share' must be a number between 0 and 1, not the number 1.",
        ),
        ("words@1\n", "words@1\n  replay: {dataset: letters@2}\n", 8, "Replay needs 'share'."),
        ("words@1\n", "words@1\n  replay: {share: 0.1}\n", 8, "Replay needs 'dataset'."),
        ("method: {kind: memorise}\n", "", 2, "A recipe needs 'method'."),
        ("method: {kind: memorise}", "method: memorise", 8, "'method' must be a mapping"),
        ("method: {kind: memorise}", "method: {kind: dora}", 8, "The method must be memorise."),
        ("task: {kind: read}", "task: [read]", 9, "'task' must be a mapping, not a list."),
        ("at_least: 0.9", "at_lest: 0.9", 11, "A gate has no condition."),
        ("at_least: 0.9", "at_least: 90%", 11, "'at_least' must be a number from 0 to 1"),
        ("metric: exact_match", "metric: accuracy", 11, "The family has no metric 'accuracy'."),
        ("words-test@1,", "words-test,", 11, "'words-test' does not say which version."),
        ("target: table", "target: tabel", 14, "The recipe builds no target 'tabel'."),
        (
            "targets: [safetensors, table]\n",
            "",
            2,
            "A recipe needs 'targets'.",
        ),
        ("targets: [safetensors, table]", "targets: []", 15, "'targets' must be a list of names"),
        ("targets: [safetensors, table]", "targets: table", 15, "'targets' must be a list"),
        (
            "targets: [safetensors, table]",
            "targets: [table]",
            15,
            "'targets' must hold safetensors",
        ),
        (
            "targets: [safetensors, table]",
            "targets: [safetensors, table, tabel]",
            15,
            "The family tally has no target 'tabel'.",
        ),
        (
            "targets: [safetensors, table]",
            "targets: [safetensors, table, table]",
            15,
            "The target 'table' is given twice.",
        ),
        (
            "targets: [safetensors, table]",
            "targets: [safetensors, table, 3]",
            15,
            "A target must be a text, not the number 3.",
        ),
        ("seed: 7", "seed: seven", 16, "'seed' must be a whole number from 0"),
        ("seed: 7", "seed: -1", 16, "'seed' must be a whole number from 0"),
        (
            "seed: 7",
            "seed: 4294967296",
            16,
            "'seed' must be a whole number from 0 to 4294967295, not the number 4294967296.",
        ),
        ("seed: 7", "seed: 7\nseed: 8", 17, "'seed' is given twice; first in line 16."),
        (
            "description: Reads words.",
            "description: 2026-11-22",
            17,
            "is not a value that is kept.",
        ),
        ("description: Reads words.", "note: Reads words.", 17, "'note' is not a key of a recipe."),
        ("description: Reads words.", "data: {}", 17, "'data' is given twice; first in line 6."),
        ("description: Reads words.", "description: [", 18, "This is not YAML"),
        ("  - {target", "\t- {target", 14, "A tab stands where YAML allows only spaces."),
    ],
)
def test_a_bad_recipe_says_what_is_wrong_and_where(
    old: str, new: str, line: int, message: str
) -> None:
    found = [(problem.line, problem.message) for problem in problems_of(changed(old, new))]
    assert any(at == line and message in said for at, said in found), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The text is empty."),
        ("- name: reader\n", "A recipe must be a mapping, not a list."),
        ("reader", "A recipe must be a mapping, not the text 'reader'."),
        ("~", "A recipe must be a mapping, not nothing."),
        (b"name: \xff\xfe", "The text is not UTF-8."),
        ("name: \ud800", "The text is not UTF-8."),
        ("x" * 300_000, "The text is longer than 256 KiB."),
        ("a: &a 1\nb: *a", "Aliases are not read in a recipe."),
    ],
)
def test_what_is_no_recipe_at_all(text: str | bytes, message: str) -> None:
    (problem,) = problems_of(text)
    assert problem.message == message


def test_gates_of_a_base_are_checked_too() -> None:
    gates = "gates:\n  - {suite: letters-test@1, metric: exact_match, drop_at_most: 0.1}\n"
    (problem,) = problems_of(BASE_RECIPE + gates)
    assert problem.line == 10
    assert "this one has none" in problem.message


def test_a_base_cannot_stand_on_a_stack() -> None:
    (problem,) = problems_of(changed("from: scratch", "from: letters:1", BASE_RECIPE))
    assert (problem.line, problem.message) == (4, "An L0 recipe starts from scratch.")


@pytest.mark.parametrize("gates", ["", "gates: []\n"])
def test_what_can_be_released_needs_gates(gates: str) -> None:
    start, end = RECIPE.index("gates:"), RECIPE.index("targets:")
    (problem,) = problems_of(RECIPE[:start] + gates + RECIPE[end:])
    assert "'gates'" in problem.message


def test_gates_need_a_target_that_ships() -> None:
    text = changed("targets: [safetensors, table]", "targets: [safetensors]")
    text = changed("  - {target: table, agreement_with_trained_at_least: 0.98}\n", "", text)
    (problem,) = problems_of(text)
    assert problem.message == "There are gates, but no target that ships to measure them on."


def test_every_problem_is_told_in_the_order_of_its_line() -> None:
    text = RECIPE
    for old, new in [
        ("level: L1", "level: L9"),
        ("train: words@1", "train: words"),
        ("at_least: 0.9", "at_least: 9"),
        ("table]", "tables]"),
        ("seed: 7", "sead: 7"),
    ]:
        text = changed(old, new, text)
    found = problems_of(text)
    assert [problem.line for problem in found] == [3, 7, 11, 14, 15, 16]
    assert found[-1].next_step == "Did you mean 'seed'?"


def test_the_error_says_the_first_and_carries_all() -> None:
    text = changed("seed: 7", "sead: 7", changed("level: L1", "level: L9"))
    with pytest.raises(RecipeRefused) as refused:
        parse_recipe(text, "reader.yaml")
    assert refused.value.message == "reader.yaml, line 3 (and 1 more): 'level' cannot be 'L9'."
    body = refused.value.as_dict()
    assert body["error"] == {
        "code": "recipe_refused",
        "message": refused.value.message,
        "next_step": "Known: L0, L1, L2.",
        "retryable": False,
    }
    assert body["problems"] == [
        {
            "line": 3,
            "column": 1,
            "path": ["level"],
            "message": "'level' cannot be 'L9'.",
            "next_step": "Known: L0, L1, L2.",
        },
        {
            "line": 16,
            "column": 1,
            "path": ["sead"],
            "message": "'sead' is not a key of a recipe.",
            "next_step": "Did you mean 'seed'?",
        },
    ]


def test_a_value_that_could_not_be_read_is_one_problem_not_two() -> None:
    (problem,) = problems_of(changed("name: reader", "name: 2026-11-22"))
    assert problem.message == "'2026-11-22' is not a value that is kept."


def test_problems_found_later_have_their_lines_too() -> None:
    recipe = parse_recipe(RECIPE, "reader.yaml")
    refused = recipe.refused(
        [Problem(("gates", 2, "suite"), "It is not there."), Problem(("from",), "Nor is this.")]
    )
    assert [(problem.line, problem.column) for problem in refused.problems] == [(5, 1), (13, 6)]


def test_equal_recipes_are_equal_wherever_their_lines_are() -> None:
    one = parse_recipe(RECIPE)
    other = parse_recipe("\n\n" + RECIPE)
    assert replace(other, text=one.text) == one


def problems_if_any(text: str) -> tuple[RecipeProblem, ...]:
    try:
        parse_recipe(text)
    except RecipeRefused as refused:
        return refused.problems
    return ()


LINES = RECIPE.splitlines()


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=4, unique=True), st.data())
def test_a_recipe_with_lines_lost_or_garbled_is_read_or_refused_within_its_lines(
    hit: list[int], data: st.DataObject
) -> None:
    lines = list(LINES)
    for index in hit:
        kind = data.draw(st.sampled_from(["lose", "garble", "indent", "cut"]))
        line = lines[index]
        garbled = re.sub("[a-z]", data.draw(st.sampled_from(["0", ":", "[", "é"])), line, count=1)
        lines[index] = {
            "lose": "",
            "garble": garbled,
            "indent": " " + line,
            "cut": line[: len(line) // 2],
        }[kind]
    found = problems_if_any("\n".join(lines))
    assert all(1 <= problem.line <= len(lines) + 1 for problem in found)
    assert all(problem.message.endswith(".") for problem in found)
