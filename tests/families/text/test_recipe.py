"""Recipes of the text family: what can be asked for, and what is refused at which key."""

from __future__ import annotations

from typing import Any

import pytest

from dizuo.artifacts.model import Level
from dizuo.families.text import recipe
from dizuo.families.text.recipe import DpoMethod, ExtractTask, LoraMethod, PretrainMethod

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
LORA = {"kind": "lora", "rank": 8, "epochs": 3, "learning_rate": 1e-3}
DPO = {**LORA, "kind": "dpo", "beta": 0.2}
PRETRAIN = {
    "kind": "pretrain",
    "architecture": {"type": "qwen3"},
    "epochs": 1,
    "learning_rate": 1e-3,
}
EXTRACT = {"kind": "extract", "schema": SCHEMA}


@pytest.mark.parametrize(
    ("level", "method", "task"),
    [
        (Level.L1, LORA, EXTRACT),
        (Level.L2, DPO, {"kind": "answer", "system": "s"}),
        (Level.L0, PRETRAIN, {}),
    ],
)
def test_what_composes_is_taken(level: Level, method: dict[str, Any], task: dict[str, Any]) -> None:
    assert recipe.check(level, method, task) == []


def test_preferences_replay_nothing() -> None:
    (problem,) = recipe.check(Level.L2, DPO, {}, replays=True)
    assert problem.path == ("data", "replay")
    assert "cannot replay rows" in problem.message
    assert "kind: lora" in problem.next_step
    assert recipe.check(Level.L2, LORA, {}, replays=True) == []


def test_methods_and_tasks_are_parsed() -> None:
    lora = recipe.parse_method(LORA)
    assert isinstance(lora, LoraMethod)
    assert lora.scaling == 2.0
    assert isinstance(recipe.parse_method(DPO), DpoMethod)
    assert isinstance(recipe.parse_method(PRETRAIN), PretrainMethod)
    task = recipe.parse_task(EXTRACT)
    assert isinstance(task, ExtractTask)
    assert task.schema_ == SCHEMA
    assert recipe.parse_task({}).kind == "answer"


REFUSED: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...], str]] = [
    ({"kind": "full"}, {}, ("method", "kind"), "Full copies of modules"),
    ({"kind": "dora"}, {}, ("method", "kind"), "DoRA scales"),
    ({"kind": "magic"}, {}, ("method", "kind"), "does not have this method"),
    (PRETRAIN, {}, ("method", "kind"), "cannot make a layer of level L1"),
    ({**LORA, "use_dora": True}, {}, ("method", "use_dora"), "DoRA"),
    ({**LORA, "modules_to_save": []}, {}, ("method", "modules_to_save"), "do not compose"),
    ({**LORA, "resize_vocabulary": 9}, {}, ("method", "resize_vocabulary"), "resized vocabulary"),
    ({**LORA, "rank": 0}, {}, ("method", "rank"), "method.rank is wrong"),
    ({**LORA, "rank": "8"}, {}, ("method", "rank"), "method.rank is wrong"),
    ({**LORA, "spam": 1}, {}, ("method", "spam"), "method.spam is not known"),
    ({"kind": "lora", "rank": 4, "epochs": 1}, {}, ("method", "learning_rate"), "is missing"),
    (LORA, {"kind": "paint"}, ("task", "kind"), "does not have this task"),
    (LORA, {"kind": "extract"}, ("task", "schema"), "is missing"),
    (LORA, {"kind": "extract", "schema": "ticket.schema.json"}, ("task", "schema"), "is a text"),
    (LORA, {"kind": "extract", "schema": {"type": "string"}}, ("task",), "an object with"),
    (LORA, {"max_tokens": 0}, ("task", "max_tokens"), "task.max_tokens is wrong"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[3] for case in REFUSED])
def test_others_are_refused_at_their_key(
    case: tuple[dict[str, Any], dict[str, Any], tuple[str, ...], str],
) -> None:
    method, task, path, says = case
    (problem,) = recipe.check(Level.L1, method, task)
    assert problem.path == path
    assert says in problem.message


def test_an_architecture_whose_heads_do_not_share_is_refused() -> None:
    method = {**PRETRAIN, "architecture": {"type": "qwen3", "num_key_value_heads": 3}}
    (problem,) = recipe.check(Level.L0, method, {})
    assert "multiple of num_key_value_heads" in problem.message
