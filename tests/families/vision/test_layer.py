"""Pins: a layer runs on what it was made for, and on nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.families.vision.conftest import Copier
from tests.families.vision.factory import Built

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.digests import sha256_file
from dizuo.core.files import write_json
from dizuo.families.errors import LayerRefused
from dizuo.families.vision.adapter import Adapter, LoraPair, write_adapter
from dizuo.families.vision.layer import (
    EngineRange,
    Manifest,
    Preprocessing,
    check_engine,
    read_manifest,
    read_preprocessing,
    read_stack,
)


def edit(path: Path, **changes: Any) -> None:
    write_json(path, {**json.loads(path.read_bytes()), **changes})


def add_batch_norm(stack: StackFiles) -> None:
    """An adapter that also carries moved statistics, and a manifest that owns up to it."""
    from safetensors.numpy import load_file, save_file

    path = stack.top.directory / "adapter.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "norm.running_mean": tensors["head.bias"]}, path)
    edit(stack.top.directory / "layer.json", weights=sha256_file(path))


def other_preprocessing(stack: StackFiles) -> None:
    path = stack.base.directory / "preprocessing.json"
    edit(path, mean=[0.4])
    edit(stack.base.directory / "layer.json", preprocessing=sha256_file(path))


def other_adapter(stack: StackFiles) -> None:
    import numpy as np

    zeros = np.zeros((1, 1), np.float32)
    tiny = Adapter({"x": LoraPair(zeros, zeros)}, zeros, zeros[0])
    write_adapter(tiny, stack.layers[1].directory / "adapter.safetensors")


ZEROS = "sha256:" + "0" * 64
SPOILERS: dict[str, tuple[Callable[[StackFiles], object], str]] = {
    "another base": (
        lambda s: edit(s.base.directory / "layer.json", weights=ZEROS, base_weights=ZEROS),
        "meter was made for another base",
    ),
    "preprocessing that its base does not name": (
        lambda s: edit(s.base.directory / "preprocessing.json", mean=[0.4]),
        r"base does not hold the preprocessing\.json",
    ),
    "another preprocessing": (other_preprocessing, "meter was made for another preprocessing"),
    "no preprocessing": (
        lambda s: (s.base.directory / "preprocessing.json").unlink(),
        r"does not hold the preprocessing\.json",
    ),
    "another layer in between": (
        lambda s: edit(s.layers[1].directory / "layer.json", labels=["x", "y", "z"]),
        "site was made on top of other layers",
    ),
    "another adapter": (other_adapter, r"meter does not hold the adapter\.safetensors"),
    "no adapter": (
        lambda s: (s.top.directory / "adapter.safetensors").unlink(),
        r"site does not hold the adapter\.safetensors",
    ),
    "a second base": (lambda s: edit(s.top.directory / "layer.json", kind="base"), "second base"),
    "no base": (lambda s: edit(s.base.directory / "layer.json", kind="lora"), "is not a base"),
    "a module the base keeps to itself": (
        lambda s: edit(s.top.directory / "layer.json", modules=["normalization"]),
        "changes normalization",
    ),
    "a head of another width": (
        lambda s: edit(s.top.directory / "layer.json", embedding_size=99),
        "a head of another width",
    ),
    "a newer format": (
        lambda s: edit(s.top.directory / "layer.json", format=2),
        r"no layer\.json that can be read",
    ),
    "a newer adapter format": (
        lambda s: edit(s.top.directory / "layer.json", adapter_format="lora-i8-1"),
        r"no layer\.json that can be read",
    ),
    "no manifest": (
        lambda s: (s.top.directory / "layer.json").unlink(),
        r"no layer\.json that can be read",
    ),
}


def test_a_whole_stack_holds_its_pins(stacks: dict[str, Built]) -> None:
    for built in stacks.values():
        for stack in (built.trained, built.onnx):
            assert [m.kind for m in read_stack(stack)] == [
                "base",
                *["lora"] * (len(stack.layers) - 1),
            ]


@pytest.mark.parametrize("name", SPOILERS)
def test_what_does_not_fit_is_refused_with_its_reason(
    stacks: dict[str, Built], copied: Copier, name: str
) -> None:
    spoil, says = SPOILERS[name]
    stack = copied(stacks["site"].onnx)
    spoil(stack)
    with pytest.raises(LayerRefused, match=says):
        read_stack(stack)


def test_manifest_and_preprocessing_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LayerRefused, match=r"layer\.json"):
        read_manifest(tmp_path)
    with pytest.raises(LayerRefused, match=r"preprocessing\.json"):
        read_preprocessing(tmp_path)


@pytest.mark.parametrize(
    ("version", "holds"),
    [("1.19.9", False), ("1.20.0", True), ("1.31.1", True), ("2.0.0", False), ("1.100.0", True)],
)
def test_engine_versions_are_numbers_not_texts(version: str, holds: bool) -> None:
    assert EngineRange().holds(version) is holds


def test_an_engine_out_of_range_is_named(stacks: dict[str, Built]) -> None:
    layer = LayerDirectory(Level.L1, "meter", stacks["meter"].onnx.top.directory)
    manifest = read_manifest(layer.directory)
    check_engine(layer, manifest, "1.31.1")
    with pytest.raises(LayerRefused, match=r"meter runs on ONNX Runtime 1\.20 up to 2\.0; .* 2\.1"):
        check_engine(layer, manifest, "2.1.0")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1e30, 10**400])
@pytest.mark.parametrize("name", ["mean", "std", "rescale"])
def test_preprocessing_stays_finite(name: str, value: float) -> None:
    whole: dict[str, Any] = {"height": 8, "width": 8, "channels": 1, "mean": [0.5], "std": [0.5]}
    Preprocessing(**whole)
    with pytest.raises(ValueError, match=name):
        Preprocessing(**{**whole, name: value if name == "rescale" else [value]})


def test_one_mean_per_channel() -> None:
    with pytest.raises(ValueError, match="one value per channel"):
        Preprocessing(height=8, width=8, channels=3, mean=(0.5,), std=(0.5,))


def test_a_manifest_of_format_1_still_loads(tmp_path: Path) -> None:
    """Written by version 0.1.0; must load for good."""
    (tmp_path / "layer.json").write_text(
        '{"adapter_format":"lora-f16-1","architecture":"resnet","base_weights":"' + ZEROS + '",'
        '"below":["' + ZEROS + '"],"embedding_size":16,"format":1,"kind":"lora",'
        '"labels":["a","b"],"modules":["m"],"onnxruntime":{"at_least":[1,20],"below":[2,0]},'
        '"preprocessing":"' + ZEROS + '","rank":4,"weights":"' + ZEROS + '"}'
    )
    assert read_manifest(tmp_path) == Manifest(
        kind="lora",
        architecture="resnet",
        labels=("a", "b"),
        embedding_size=16,
        modules=("m",),
        weights=ZEROS,
        base_weights=ZEROS,
        preprocessing=ZEROS,
        below=(ZEROS,),
        adapter_format="lora-f16-1",
        rank=4,
    )
