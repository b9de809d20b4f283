"""The demo's recipes are accepted, and are made to build on what the run has built."""

from __future__ import annotations

import pytest

from dizuo.demo.hub import Built, recipe_text
from dizuo.demo.meter import _random_recipe
from dizuo.stacks.recipe import parse_recipe

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize("name", ["shapes", "meter-reading", "meter-reading-site3"])
def test_recipes_are_accepted(name: str) -> None:
    assert parse_recipe(recipe_text(name), name).name == name


def test_a_child_builds_on_the_parent_of_this_run() -> None:
    parent = Built("shapes:7", DIGEST, cached=False)
    recipe = parse_recipe(recipe_text("meter-reading", parent), "recipe")
    assert "from: shapes:7\n" in recipe_text("meter-reading", parent)
    assert recipe.name == "meter-reading"


@pytest.mark.parametrize("dataset", ["meter-site3", "meter-site3-v2"])
def test_the_random_arm_differs_in_names_and_the_accuracy_gate_alone(dataset: str) -> None:
    own = recipe_text("meter-reading-site3").replace("meter-site3", dataset)
    arm = _random_recipe(own, dataset)
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
