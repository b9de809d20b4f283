"""Small real layers for the tests: a tiny ResNet on generated shapes and adapters on it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.progress import silent
from dizuo.demo.meter.shapes import shape_rows
from dizuo.families.base import Row, TunedLayer, TuneJob
from dizuo.families.vision import export, tune

PRETRAIN: Mapping[str, Any] = {
    "kind": "pretrain",
    "architecture": {
        "type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "image": {"height": 12, "width": 12, "channels": 1},
    },
    "epochs": 2,
    "learning_rate": 5e-3,
    "batch_size": 32,
}
LORA: Mapping[str, Any] = {
    "kind": "lora",
    "rank": 3,
    "epochs": 3,
    "learning_rate": 2e-2,
    "batch_size": 16,
    "augment": 0.05,
}
TASK: Mapping[str, Any] = {"kind": "classify"}


@dataclass(frozen=True, slots=True)
class Built:
    """A stack in both targets."""

    trained: StackFiles
    onnx: StackFiles


def shapes(num_rows: int, *, seed: int = 0, prefix: str = "") -> list[Row]:
    return [
        {"image": image, "label": f"{prefix}{label}"} for image, label in shape_rows(num_rows, seed)
    ]


def first_labels(num_rows: int, num_labels: int, *, seed: int) -> list[Row]:
    """Rows of only a few labels, named differently from the base's."""
    wanted: list[Row] = []
    kept = sorted({row["label"] for row in shapes(60)})[:num_labels]
    for row in shapes(num_rows * 40 // num_labels, seed=seed):
        if row["label"] in kept and len(wanted) < num_rows:
            wanted.append({"image": row["image"], "label": f"new {row['label']}"})
    return wanted


def inverted(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "image": png(255 - pixels(row["image"]))} for row in rows]


def pixels(image: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(image)))


def png(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(stream, format="PNG", **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_16(pixels: Any) -> bytes:
    """Grey (h, w), or colour (h, w, 3), with 16 bits a channel."""
    height, width = pixels.shape[:2]
    colour_type = 0 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def job(root: Path, rows: Sequence[Row], parent: StackFiles | None, **changes: Any) -> TuneJob:
    output, checkpoints = root / "layer", root / "checkpoints"
    output.mkdir(parents=True, exist_ok=True)
    checkpoints.mkdir(exist_ok=True)
    settings: dict[str, Any] = {
        "name": root.name,
        "level": Level.L0 if parent is None else Level.L1,
        "seed": 7,
        "method": PRETRAIN if parent is None else LORA,
        "task": TASK,
        "rows": rows,
        "parent": parent,
        "output": output,
        "checkpoints": checkpoints,
    }
    return TuneJob(**{**settings, **changes})


def run(job: TuneJob) -> TunedLayer:
    return tune.tune(job, silent, lambda: False)


def stack(name: str, target: str, layers: Sequence[LayerDirectory]) -> StackFiles:
    return StackFiles(name, 3, "sha256:" + "0" * 64, target, tuple(layers))


def build(root: Path, name: str, rows: Sequence[Row], parent: Built | None) -> Built:
    """Tune a layer and export it."""
    todo = job(root / name, rows, None if parent is None else parent.trained)
    run(todo)
    below = () if parent is None else parent.trained.layers
    trained = stack(name, "safetensors", (*below, LayerDirectory(todo.level, name, todo.output)))
    folder = root / name / "onnx"
    folder.mkdir()
    export.export(trained, "onnx", folder, silent)
    below = () if parent is None else parent.onnx.layers
    return Built(trained, stack(name, "onnx", (*below, LayerDirectory(todo.level, name, folder))))
