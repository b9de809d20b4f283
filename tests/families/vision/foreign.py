"""Tiny models as Transformers saves them, and ways to spoil them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageClassification

TRANSFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
WINDOWED = {
    "image_size": 32,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 4,
}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
TINY: dict[str, dict[str, Any]] = {
    "beit": TRANSFORMER,
    "convnext": {**STAGES, "num_stages": 2},
    "convnextv2": {**STAGES, "num_stages": 2},
    "dinov2": {**TRANSFORMER, "mlp_ratio": 2},
    "dinov2_with_registers": {**TRANSFORMER, "mlp_ratio": 2},
    "regnet": {**STAGES, "embedding_size": 8, "groups_width": 4},
    "resnet": {**STAGES, "embedding_size": 8, "layer_type": "bottleneck"},
    "swin": WINDOWED,
    "swinv2": WINDOWED,
    "vit": TRANSFORMER,
}
PROCESSOR: dict[str, Any] = {
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.3],
}
PROCESSOR_NAME = "preprocessor_config.json"
LABELS = ("cat", "dog", "fox", "owl", "pig")


def save_model(directory: Path, architecture: str, **options: Any) -> Path:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        architecture,
        **TINY[architecture],
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    AutoModelForImageClassification.from_config(config).save_pretrained(directory, **options)
    (directory / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return directory


def edit(name: str, **changes: Any) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        path = model / name
        kept = {**json.loads(path.read_bytes()), **changes}
        path.write_text(json.dumps({k: v for k, v in kept.items() if v is not None}))

    return change


def write_null(name: str, key: str) -> Callable[[Path], object]:
    return lambda model: (model / name).write_text(
        json.dumps({**json.loads((model / name).read_bytes()), key: None})
    )


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda model: (model / name).write_bytes(data)


def remove(name: str) -> Callable[[Path], object]:
    return lambda model: (model / name).unlink()
