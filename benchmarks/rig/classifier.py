"""Image classifiers of real sizes with random weights, and layers on them: real files throughout.

Bytes, memory and time do not depend on what the weights say, so nothing needs to be downloaded.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_sample_images
from transformers import AutoConfig, AutoModelForImageClassification
from transformers.utils import logging as transformers_logging

from dizuo.artifacts.model import LayerDirectory, LayerFile, Level, StackFiles
from dizuo.core.digests import sha256_bytes, sha256_file
from dizuo.core.progress import silent
from dizuo.families.base import Row, TuneJob
from dizuo.families.vision import calibration, export, importing, tune
from dizuo.families.vision.adapter import Adapter, LoraPair
from dizuo.families.vision.calibration import Evidence
from dizuo.families.vision.layer import MANIFEST_NAME, WEIGHTS_NAME, Manifest, read_manifest
from dizuo.families.vision.making import Below, write_adapter_layer

LABELS = tuple(f"class-{number}" for number in range(10))
SIDE = 224
_LORA_SHARE = 0.02
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Architecture:
    """A Hugging Face configuration by its names, and the side of the pictures it takes."""

    model_type: str
    settings: Mapping[str, Any]
    side: int = SIDE


_RESNET = {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
ARCHITECTURES: Mapping[str, Architecture] = {
    "resnet-18": Architecture("resnet", {**_RESNET, "depths": [2, 2, 2, 2]}),
    "vit-tiny": Architecture(
        "vit", {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
    ),
    "vit-small": Architecture(
        "vit", {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
    ),
    "vit-base": Architecture(
        "vit", {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    ),
    "resnet-toy": Architecture(
        "resnet", {**_RESNET, "hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8}, 32
    ),
}
"""`resnet-toy` shows in seconds that a measurement runs; its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Built:
    """A stack in both targets, and its own layer's files in each."""

    trained: StackFiles
    onnx: StackFiles
    files: Mapping[str, tuple[LayerFile, ...]]

    @property
    def base(self) -> Manifest:
        """The manifest of the stack's base."""
        return read_manifest(self.trained.base.directory)

    @property
    def below(self) -> Below:
        """What a layer on this stack is laid on."""
        layers = self.trained.layers
        return Below(
            self.base, tuple(sha256_file(layer.directory / MANIFEST_NAME) for layer in layers)
        )


def build_base(architecture: str, folder: Path) -> Built:
    """A base with random weights, saved as Hugging Face does, then imported and exported."""
    chosen = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    transformers_logging.disable_progress_bar()
    config = AutoConfig.for_model(
        chosen.model_type,
        **chosen.settings,
        image_size=chosen.side,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    AutoModelForImageClassification.from_config(config).save_pretrained(folder / "model")
    size = {"height": chosen.side, "width": chosen.side}
    half = [0.5, 0.5, 0.5]
    processor = {"size": size, "resample": 2, "image_mean": half, "image_std": half}
    (folder / "model" / "preprocessor_config.json").write_text(json.dumps(processor))
    output = folder / "safetensors"
    output.mkdir()
    layer = importing.import_model(folder / "model", output, silent)
    return _built(LayerDirectory(Level.L0, architecture, output), layer.files, None)


def tune_layer(below: Built, level: Level, rank: int, folder: Path) -> Built:
    """A layer by the real tuner: one pass over a few crops of two photographs."""
    output, checkpoints = folder / "safetensors", folder / "checkpoints"
    output.mkdir(parents=True)
    checkpoints.mkdir()
    job = TuneJob(
        name=folder.name,
        level=level,
        seed=rank,
        method={"kind": "lora", "rank": rank, "epochs": 1, "learning_rate": 1e-3, "batch_size": 8},
        task={"kind": "classify", "labels": list(LABELS)},
        rows=crops(32),
        parent=below.trained,
        output=output,
        checkpoints=checkpoints,
    )
    layer = tune.tune(job, silent, lambda: False)
    return _built(LayerDirectory(level, folder.name, output), layer.files, below)


def _built(layer: LayerDirectory, files: tuple[LayerFile, ...], below: Built | None) -> Built:
    """Export a layer that lies in `folder/safetensors` to `folder/onnx`."""
    trained = _stack("safetensors", layer, below.trained if below else None)
    folder = layer.directory.parent / "onnx"
    folder.mkdir()
    exported = export.export(trained, "onnx", folder, silent)
    at_sites = LayerDirectory(layer.level, layer.name, folder)
    onnx = _stack("onnx", at_sites, below.onnx if below else None)
    return Built(trained, onnx, {"safetensors": files, "onnx": exported})


def _stack(target: str, layer: LayerDirectory, below: StackFiles | None) -> StackFiles:
    layers = (*(below.layers if below else ()), layer)
    return StackFiles(layer.name, 1, sha256_bytes(layer.name.encode()), target, layers)


def random_layer(below: Built, level: Level, rank: int, folder: Path) -> Built:
    """A layer of random numbers in the real format, for where many are wanted at once."""
    output = folder / "safetensors"
    output.mkdir(parents=True)
    random = np.random.default_rng(sum(folder.name.encode()))
    adapter = _random_adapter(below, rank, random)
    write_adapter_layer(adapter, LABELS, below.below, output)
    size = below.base.embedding_size
    numbers = random.integers(0, len(LABELS), 64)
    embeddings, logits = random.random((64, size)), random.random((64, len(LABELS)))
    evidence = Evidence(embeddings.astype("f4"), logits.astype("f4"), numbers)
    calibration.fit_unlabelled(evidence, output / calibration.FILE_NAME)
    return _built(LayerDirectory(level, folder.name, output), (), below)


def _random_adapter(below: Built, rank: int, random: np.random.Generator) -> Adapter:
    weights = load_file(below.trained.base.directory / WEIGHTS_NAME)
    pairs = {}
    for module in below.base.modules:
        outputs, *inputs = weights[f"{module}.weight"].shape
        a = random.standard_normal((rank, *inputs)) / np.sqrt(np.prod(inputs))
        b = random.standard_normal((outputs, rank, *(1 for _ in inputs[1:]))) * _LORA_SHARE
        pairs[module] = LoraPair(a.astype("f4"), b.astype("f4"))
    head = random.standard_normal((len(LABELS), below.base.embedding_size)) * 0.1
    return Adapter(pairs, head.astype("f4"), np.zeros(len(LABELS), dtype="f4"))


def crops(num_rows: int, side: int = SIDE) -> Sequence[Row]:
    """Square JPEG crops of scikit-learn's two photographs, labelled in turn."""
    random = np.random.default_rng(0)
    photographs = load_sample_images().images
    return [
        {
            "image": _crop(photographs[number % len(photographs)], side, random),
            "label": LABELS[number % len(LABELS)],
        }
        for number in range(num_rows)
    ]


def _crop(photograph: Any, side: int, random: np.random.Generator) -> bytes:
    height, width = photograph.shape[:2]
    top, left = random.integers(0, height - side), random.integers(0, width - side)
    stream = io.BytesIO()
    picture = Image.fromarray(photograph[top : top + side, left : left + side])
    picture.save(stream, format="JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()
