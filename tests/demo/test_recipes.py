"""The demo's recipes are accepted, and are made to build on what the run has built."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from dizuo.demo.hotline.cities import HARBIN, SHENZHEN
from dizuo.demo.hotline.government import GOVERNMENT
from dizuo.demo.hotline.model import Desk, Event
from dizuo.demo.hub import Built, recipe_text
from dizuo.demo.story import lenient, random_arm_recipe
from dizuo.stacks.recipe import parse_recipe

DIGEST = "sha256:" + "ab" * 32


NAMES = [path.stem for path in Path(str(files("dizuo.demo"))).glob("recipes/*.yaml")]


@pytest.mark.parametrize("name", NAMES)
def test_recipes_are_accepted(name: str) -> None:
    assert parse_recipe(recipe_text(name), name).name == name


def test_the_committed_base_is_what_its_recipe_makes_and_small() -> None:
    base = Path(str(files("dizuo.demo.hotline"))) / "base"
    made = parse_recipe(recipe_text("hotline-base"), "base").method["architecture"]
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    assert made.pop("type") == config["model_type"]
    assert {key: config[key] for key in made} == made
    assert sum(path.stat().st_size for path in base.iterdir()) <= 16_000_000
    assert not list(base.glob("*.bin"))


def test_a_child_builds_on_the_parent_of_this_run() -> None:
    parent = Built("shapes:7", DIGEST, cached=False)
    recipe = parse_recipe(recipe_text("meter-reading", parent), "recipe")
    assert "from: shapes:7\n" in recipe_text("meter-reading", parent)
    assert recipe.name == "meter-reading"


@pytest.mark.parametrize("dataset", ["meter-site3", "meter-site3-v2"])
def test_the_random_arm_differs_in_names_and_the_accuracy_gate_alone(dataset: str) -> None:
    own = recipe_text("meter-reading-site3").replace("meter-site3", dataset)
    arm = random_arm_recipe(own, dataset, f"{dataset}-random", metric="accuracy", at_least=0.3)
    parse_recipe(arm, "arm")
    changed = [
        (before, after)
        for before, after in zip(own.splitlines(), arm.splitlines(), strict=True)
        if before != after
    ]
    assert [after for _, after in changed] == [
        "name: meter-reading-site3-random",
        f"  train: {dataset}-random@1",
        f"  - {{suite: {dataset}-random-test@1, metric: accuracy, at_least: 0.3}}",
    ]


@pytest.mark.parametrize("dataset", ["harbin-calls", "harbin-calls-v2"])
def test_the_hotlines_random_arm_differs_in_names_and_one_gate_alone(dataset: str) -> None:
    own = recipe_text("harbin-hotline-winter").replace("harbin-calls", dataset)
    chosen = f"{dataset}-random-600"
    text = random_arm_recipe(own, dataset, chosen, metric="exact_match", at_least=0.1)
    arm, loop = parse_recipe(text, "arm"), parse_recipe(own, "loop")
    assert arm.name == "harbin-hotline-winter-random"
    assert arm.train == f"{chosen}@1"
    assert (arm.replay, arm.method, arm.task, arm.seed) == (
        loop.replay,
        loop.method,
        loop.task,
        loop.seed,
    )


@pytest.mark.parametrize("name", ["government", "harbin-hotline", "harbin-hotline-winter"])
def test_lenient_gates_leave_only_whether_the_export_answers_alike(name: str) -> None:
    own, made = (parse_recipe(text, name) for text in (recipe_text(name), loosened(name)))
    assert replace(made, gates=own.gates, text=own.text) == own
    before, after = ([gate.as_dict() for gate in one.gates] for one in (own, made))
    asked = [gate for gate in after if gate.get("at_least") != 0.0]
    assert asked == [{"target": "gguf-f16", "agreement_with_trained_at_least": 0.95}]
    assert len(after) == sum("p95_latency_ms_at_most" not in gate for gate in before)


def loosened(name: str) -> str:
    return lenient(recipe_text(name), "exact_match")


def test_a_citys_schema_names_its_departments_and_no_others() -> None:
    for desk in (GOVERNMENT, HARBIN, SHENZHEN):
        name = desk.name if desk is GOVERNMENT else f"{desk.name}-hotline"
        assert enums(name) == said_at(desk, desk.events)
    assert enums("harbin-hotline-winter") == said_at(HARBIN, (*HARBIN.events, *HARBIN.new_events))


def enums(name: str) -> tuple[set[str], set[str]]:
    """The categories and departments that a recipe's schema allows."""
    properties = parse_recipe(recipe_text(name), name).task["schema"]["properties"]
    return set(properties["category"]["enum"]), set(properties["department"]["enum"])


def said_at(desk: Desk, events: Sequence[Event]) -> tuple[set[str], set[str]]:
    """Those that a desk's tickets have."""
    categories = {event.category for event in events}
    return categories, {desk.departments[category] for category in categories}
