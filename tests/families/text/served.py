"""Text stacks that have learned their tickets, and the same in another target's form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.families.text.tuning_factory import LORA, PRETRAIN, build, tickets

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.progress import silent
from dizuo.families.text import export

MOVED = {"积水": "环境", "路灯不亮": "排水", "噪音扰民": "照明"}
SWAPPED = {"积水": "照明", "路灯不亮": "环境", "噪音扰民": "排水"}
PROMPTS = [str(row["prompt"]) for row in tickets(12, seed=99)]


def train(root: Path) -> dict[str, StackFiles]:
    """A base, an L1 on it, and two L2 on that whose categories differ."""
    pretrain, lora = {**PRETRAIN, "epochs": 32}, {**LORA, "epochs": 10}
    base = build(root, "qwen", tickets(320), None, method=pretrain)
    industry = build(root, "industry", tickets(90, seed=1), base, method=lora)
    changes: dict[str, Any] = {"method": lora, "level": Level.L2}
    scenario = build(root, "scenario", tickets(90, seed=2, kinds=MOVED), industry, **changes)
    other = build(root, "other", tickets(90, seed=3, kinds=SWAPPED), industry, **changes)
    return {"qwen": base, "industry": industry, "scenario": scenario, "other": other}


def exported(root: Path, stack: StackFiles, target: str = "gguf-f16") -> StackFiles:
    """A stack in another target's form, every layer of it."""
    layers = []
    for depth, layer in enumerate(stack.layers, start=1):
        folder = root / target / layer.name
        if not folder.exists():
            folder.mkdir(parents=True)
            export.export(replace(stack, layers=stack.layers[:depth]), target, folder, silent)
        layers.append(LayerDirectory(layer.level, layer.name, folder))
    return replace(stack, target=target, layers=tuple(layers))
