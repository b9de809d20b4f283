"""Small real text layers for the tests: a tiny Qwen3 that reads tickets, and adapters on it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.progress import silent
from dizuo.families.base import Row, TunedLayer, TuneJob
from dizuo.families.text import tune

PRETRAIN: Mapping[str, Any] = {
    "kind": "pretrain",
    "architecture": {
        "type": "qwen3",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 128,
        "vocab_size": 420,
    },
    "epochs": 3,
    "learning_rate": 1e-2,
    "batch_size": 16,
    "max_length": 96,
}
LORA: Mapping[str, Any] = {
    "kind": "lora",
    "rank": 4,
    "epochs": 3,
    "learning_rate": 1e-2,
    "batch_size": 16,
    "max_length": 96,
    "group_by_length": True,
}
DPO: Mapping[str, Any] = {**LORA, "kind": "dpo", "learning_rate": 2e-3}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "类别": {"enum": ["排水", "照明", "环境"]},
        "地点": {"type": "string"},
    },
    "required": ["类别", "地点"],
    "additionalProperties": False,
}
ANSWER: Mapping[str, Any] = {"kind": "answer", "max_tokens": 24}
EXTRACT: Mapping[str, Any] = {"kind": "extract", "schema": SCHEMA, "max_tokens": 32}
_EVENTS = {"积水": "排水", "路灯不亮": "照明", "噪音扰民": "环境"}
_PLACES = ("人民路", "中山路", "解放街")


def tickets(num_rows: int, *, seed: int = 0, kinds: Mapping[str, str] = _EVENTS) -> list[Row]:
    """Prompts that name an event and a place, answered by JSON."""
    random_numbers = random.Random(seed)
    rows: list[Row] = []
    for _ in range(num_rows):
        event, place = random_numbers.choice(list(kinds)), random_numbers.choice(_PLACES)
        place += f"{random_numbers.randint(1, 9)}号"
        label = {"类别": kinds[event], "地点": place}
        rows.append({"prompt": f"{place}{event}，请处理", "label": label})
    return rows


def preferences(num_rows: int, *, seed: int = 0) -> list[Row]:
    """Tickets with an answer that names another place."""
    return [
        {**row, "rejected": {**row["label"], "地点": "不详"}}
        for row in tickets(num_rows, seed=seed)
    ]


def plain(num_rows: int, *, seed: int = 0) -> list[Row]:
    """Plain texts."""
    return [
        {"text": f"{row['prompt']}。归{row['label']['类别']}。"}
        for row in tickets(num_rows, seed=seed)
    ]


def job(root: Path, rows: Sequence[Row], parent: StackFiles | None, **changes: Any) -> TuneJob:
    output, checkpoints = root / "layer", root / "checkpoints"
    output.mkdir(parents=True, exist_ok=True)
    checkpoints.mkdir(exist_ok=True)
    settings: dict[str, Any] = {
        "name": root.name,
        "level": Level.L0 if parent is None else Level.L1,
        "seed": 7,
        "method": PRETRAIN if parent is None else LORA,
        "task": EXTRACT,
        "rows": rows,
        "parent": parent,
        "output": output,
        "checkpoints": checkpoints,
    }
    return TuneJob(**{**settings, **changes})


def run(job: TuneJob) -> TunedLayer:
    return tune.tune(job, silent, lambda: False)


def stack(name: str, layers: Sequence[LayerDirectory], target: str = "safetensors") -> StackFiles:
    return StackFiles(name, 3, "sha256:" + "0" * 64, target, tuple(layers))


def build(
    root: Path, name: str, rows: Sequence[Row], parent: StackFiles | None, **changes: Any
) -> StackFiles:
    """Tune a layer; returns the stack that it completes."""
    todo = job(root / name, rows, parent, **changes)
    run(todo)
    below = () if parent is None else parent.layers
    return stack(name, (*below, LayerDirectory(todo.level, name, todo.output)))
