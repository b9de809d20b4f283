"""Recipes of the text family: what can be asked for, and what is refused at which key."""

from __future__ import annotations

from typing import Any

import pytest

from dizuo.artifacts.model import Level
from dizuo.core.errors import InvalidInput
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
    (LORA, {"context_tokens": 64}, ("task", "context_tokens"), "An answer may have 256 tokens"),
    (LORA, {"max_tokens": 2048}, ("task", "max_tokens"), "An answer may have 2048 tokens"),
    (
        LORA,
        {"max_tokens": 64, "context_tokens": 64},
        ("task", "max_tokens"),
        "prompt and answer together no more than 64",
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[3] for case in REFUSED])
def test_others_are_refused_at_their_key(
    case: tuple[dict[str, Any], dict[str, Any], tuple[str, ...], str],
) -> None:
    method, task, path, says = case
    (problem,) = recipe.check(Level.L1, method, task)
    assert problem.path == path
    assert says in problem.message


def test_a_prompt_of_one_token_is_room_enough() -> None:
    assert recipe.check(Level.L1, LORA, {"max_tokens": 63, "context_tokens": 64}) == []
    assert recipe.check(Level.L1, LORA, {"max_tokens": 2047}) == []


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ({"context_tokens": 4097}, "4097, but the model reads at most 4096 tokens"),
        ({"context_tokens": 256}, "An answer may have 256 tokens"),
        ({"context_tokens": "4096"}, "task.context_tokens is wrong"),
        ({"context_tokens": 300_000}, "task.context_tokens is wrong"),
        ({"system": "s"}, "task.system is not known"),
    ],
)
def test_an_import_cannot_ask_for_everything(task: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        recipe.check_import_task(task, 4096)
    assert refused.value.next_step


def test_an_import_may_ask_for_all_that_the_model_reads() -> None:
    recipe.check_import_task({"context_tokens": 4096}, 4096)
    recipe.check_import_task({"context_tokens": 4096}, None)
    recipe.check_import_task({}, 128)


def test_an_architecture_whose_heads_do_not_share_is_refused() -> None:
    method = {**PRETRAIN, "architecture": {"type": "qwen3", "num_key_value_heads": 3}}
    (problem,) = recipe.check(Level.L0, method, {})
    assert "multiple of num_key_value_heads" in problem.message
