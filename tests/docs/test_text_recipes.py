"""The recipes, rows and tables of `docs/text-recipes.md` against what the text family takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest
from tests.docs.reference import DOCS

from dizuo.families.text import lessons, spec
from dizuo.families.text.recipe import (
    AnswerTask,
    DpoMethod,
    ExtractTask,
    LoraMethod,
    PretrainMethod,
)
from dizuo.families.validation import RecipePart
from dizuo.stacks.recipe import parse_recipe

PAGE = (DOCS / "text-recipes.md").read_text("utf-8")
RECIPES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
(ROWS,) = [
    [json.loads(line) for line in block.splitlines()]
    for block in re.findall(r"^```jsonl\n(.*?)^```", PAGE, re.M | re.S)
]
METHODS: Mapping[str, type[RecipePart]] = {
    "pretrain": PretrainMethod,
    "lora": LoraMethod,
    "dpo": DpoMethod,
}
TASKS: Mapping[str, type[RecipePart]] = {"answer": AnswerTask, "extract": ExtractTask}
Told = dict[str, tuple[set[str], str]]
"""By its key, the kinds that take it, and its default as JSON, empty where it must be given."""


def told(heading: str, kinds: Mapping[str, object]) -> Told:
    """What the table under a heading says."""
    section = PAGE.split(f"## The keys of `{heading}`\n")[1].split("\n## ")[0]
    found: Told = {}
    for line in re.findall(r"^\| `.*\|$", section, re.M):
        key, of, default = [re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:4]]
        found[key[0]] = (set(of or kinds), "".join(default))
    return found


def taken(kinds: Mapping[str, type[RecipePart]]) -> Told:
    """What the recipe's models say."""
    found: Told = {}
    for kind, model in kinds.items():
        for name, field in model.model_fields.items():
            default = "" if field.is_required() else json.dumps(field.default)
            of, _ = found.get(field.alias or name, (set(), ""))
            found[field.alias or name] = ({*of, kind}, default)
    del found["kind"]
    return found


@pytest.mark.parametrize(("heading", "kinds"), [("method", METHODS), ("task", TASKS)])
def test_the_tables_name_every_key_with_its_kinds_and_default(
    heading: str, kinds: Mapping[str, type[RecipePart]]
) -> None:
    assert told(heading, kinds) == taken(kinds)


@pytest.mark.parametrize("text", RECIPES)
def test_a_recipe_on_the_page_is_one(text: str) -> None:
    recipe = parse_recipe(text)
    assert recipe.family == "text"


def test_the_recipes_are_of_the_kinds_that_the_page_tells_of() -> None:
    kinds = [str(parse_recipe(text).method["kind"]) for text in RECIPES]
    assert kinds == ["lora", "dpo", "lora"]


def test_rows_of_each_kind_are_learned_from() -> None:
    example, pair, _ = ROWS
    assert [set(row) for row in ROWS] == [
        {"prompt", "label"},
        {"prompt", "label", "rejected"},
        {"text"},
    ]
    assert [spec.check_row(row) for row in ROWS] == ["", "", ""]
    task = ExtractTask.model_validate(dict(parse_recipe(RECIPES[0]).task))
    lessons.check_labels([example, pair], task)
    lessons.check_rows(ROWS * 10, "lora")
    lessons.check_rows([example, pair] * lessons.MIN_ROWS, "dpo")
    assert f"at least {lessons.MIN_ROWS} rows with a rejected answer" in PAGE
