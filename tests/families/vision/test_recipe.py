"""What a recipe can ask for, and the problem it gets for anything else."""

from __future__ import annotations

from typing import Any

import pytest

from dizuo.artifacts.model import Level
from dizuo.families.vision.recipe import LoraMethod, PretrainMethod, parse_method, parse_task
from dizuo.families.vision.spec import check_recipe

LORA = {"kind": "lora", "rank": 8, "epochs": 3, "learning_rate": 0.01}
SIZE = {"height": 16, "width": 16, "channels": 1}
ARCHITECTURE = {"type": "resnet", "image": SIZE}
PRETRAIN = {"kind": "pretrain", "epochs": 1, "learning_rate": 1, "architecture": ARCHITECTURE}
TASK = {"kind": "classify"}


@pytest.mark.parametrize("level", [Level.L1, Level.L2])
def test_lora_is_for_l1_and_l2(level: Level) -> None:
    assert check_recipe(level, {**LORA, "alpha": 4, "augment": 0.1}, TASK) == []


def test_an_adapter_may_learn_from_one_row_at_a_time() -> None:
    assert check_recipe(Level.L1, {**LORA, "batch_size": 1}, TASK) == []


def test_pretrain_is_for_l0() -> None:
    task = {"kind": "classify", "labels": ["a", "b"]}
    assert check_recipe(Level.L0, PRETRAIN, task) == []


BAD: list[tuple[str, Level, dict[str, Any], dict[str, Any], tuple[str | int, ...], str]] = [
    ("no kind", Level.L1, {}, TASK, ("method", "kind"), "does not have this method"),
    ("a kind of a wrong type", Level.L1, {"kind": ["lora"]}, TASK, ("method", "kind"), "method"),
    ("unknown kind", Level.L1, {"kind": "prefix"}, TASK, ("method", "kind"), "does not have"),
    ("DoRA as kind", Level.L1, {**LORA, "kind": "dora"}, TASK, ("method", "kind"), "DoRA"),
    ("DoRA", Level.L1, {**LORA, "use_dora": True}, TASK, ("method", "use_dora"), "DoRA"),
    ("full", Level.L1, {**LORA, "kind": "full"}, TASK, ("method", "kind"), "Full copies"),
    (
        "modules to save",
        Level.L2,
        {**LORA, "modules_to_save": ["classifier"]},
        TASK,
        ("method", "modules_to_save"),
        "Full copies",
    ),
    (
        "batch norm",
        Level.L1,
        {**LORA, "batch_norm": "live"},
        TASK,
        ("method", "batch_norm"),
        "batch-norm statistics",
    ),
    ("lora at L0", Level.L0, LORA, TASK, ("method", "kind"), "cannot make a layer of level L0"),
    ("pretrain at L2", Level.L2, PRETRAIN, TASK, ("method", "kind"), "cannot make a layer"),
    ("unknown key", Level.L1, {**LORA, "rnk": 3}, TASK, ("method", "rnk"), "not known"),
    ("rank 0", Level.L1, {**LORA, "rank": 0}, TASK, ("method", "rank"), "greater than"),
    ("rank 65", Level.L1, {**LORA, "rank": 65}, TASK, ("method", "rank"), "less than"),
    ("rank as text", Level.L1, {**LORA, "rank": "8"}, TASK, ("method", "rank"), "integer"),
    (
        "rank missing",
        Level.L1,
        {"kind": "lora", "epochs": 1, "learning_rate": 1},
        TASK,
        ("method", "rank"),
        "missing",
    ),
    ("rate 0", Level.L1, {**LORA, "learning_rate": 0}, TASK, ("method", "learning_rate"), "than 0"),
    ("no epochs", Level.L1, {**LORA, "epochs": 0}, TASK, ("method", "epochs"), "wrong"),
    (
        "one row a batch from scratch",
        Level.L0,
        {**PRETRAIN, "batch_size": 1},
        TASK,
        ("method", "batch_size"),
        "greater than or equal to 2",
    ),
    (
        "no size",
        Level.L0,
        {**PRETRAIN, "architecture": {"type": "resnet"}},
        TASK,
        ("method", "architecture", "image"),
        "missing",
    ),
    (
        "unequal stages",
        Level.L0,
        {**PRETRAIN, "architecture": {**ARCHITECTURE, "depths": [1, 1]}},
        TASK,
        ("method", "architecture"),
        "depths and hidden_sizes must be equally long",
    ),
    (
        "two channels",
        Level.L0,
        {**PRETRAIN, "architecture": {**ARCHITECTURE, "image": {**SIZE, "channels": 2}}},
        TASK,
        ("method", "architecture", "image", "channels"),
        "wrong",
    ),
    ("no task", Level.L1, LORA, {}, ("task", "kind"), "missing"),
    ("another task", Level.L1, LORA, {"kind": "detect"}, ("task", "kind"), "wrong"),
    ("task key", Level.L1, LORA, {**TASK, "top_k": 5}, ("task", "top_k"), "not known"),
    (
        "a label twice",
        Level.L1,
        LORA,
        {**TASK, "labels": ["a", "a"]},
        ("task",),
        "a label is there twice",
    ),
    ("one label", Level.L1, LORA, {**TASK, "labels": ["a"]}, ("task", "labels"), "at least 2"),
]


@pytest.mark.parametrize(
    ("level", "method", "task", "path", "says"), [case[1:] for case in BAD], ids=[c[0] for c in BAD]
)
def test_problems_lead_to_the_key(
    level: Level,
    method: dict[str, Any],
    task: dict[str, Any],
    path: tuple[str | int, ...],
    says: str,
) -> None:
    problems = check_recipe(level, method, task)
    assert [problem.path for problem in problems] == [path]
    assert says in problems[0].message
    assert problems[0].message.endswith(".")


def test_every_problem_is_told_at_once() -> None:
    method = {"kind": "lora", "rank": 0, "epochs": 1, "learning_rate": 1, "use_dora": True, "x": 1}
    paths = {problem.path for problem in check_recipe(Level.L1, method, {"kind": "x"})}
    assert paths == {
        ("method", "use_dora"),
        ("method", "rank"),
        ("method", "x"),
        ("task", "kind"),
    }


def test_alpha_is_twice_the_rank_unless_given() -> None:
    method = parse_method(LORA)
    assert isinstance(method, LoraMethod)
    assert method.scaling == 2.0
    given = parse_method({**LORA, "alpha": 4})
    assert isinstance(given, LoraMethod)
    assert given.scaling == 0.5


def test_parsed_methods_and_tasks() -> None:
    method = parse_method(PRETRAIN)
    assert isinstance(method, PretrainMethod)
    assert method.architecture.hidden_sizes == [32, 64, 128]
    assert parse_task({"kind": "classify", "labels": ["b", "a"]}).labels == ["b", "a"]
