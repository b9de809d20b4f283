"""Bases are loaded whole or refused, and adapters merge as PEFT applies them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file, save_file
from tests.families.text.gguf_factory import change_json
from tests.families.text.tuning_factory import LORA

from dizuo.artifacts.model import StackFiles
from dizuo.families.errors import LayerRefused
from dizuo.families.text.adapter import LoraPair
from dizuo.families.text.layer import Manifest, read_manifest
from dizuo.families.text.network import (
    adapter_of,
    base_model,
    lora_config,
    merge,
    merged_model,
    new_model,
    qwen3_config,
    read_config,
    save_weights,
    weights_digest,
)
from dizuo.families.text.recipe import LoraMethod, Qwen3Architecture, parse_method

IDS = torch.tensor([[1, 5, 300, 20, 7]])


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model(input_ids=IDS).logits.numpy()


@pytest.fixture
def copied(base: StackFiles, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base.base.directory, tmp_path / "copy"))


def renamed(directory: Path) -> Manifest:
    """The manifest of a base whose weights were changed on purpose."""
    return read_manifest(directory).model_copy(update={"weights": weights_digest(directory)})


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_a_merged_adapter_answers_as_peft_does(base: StackFiles) -> None:
    method = parse_method({**LORA, "alpha": 12.0})
    assert isinstance(method, LoraMethod)
    manifest = read_manifest(base.base.directory)
    torch.manual_seed(3)
    peft = get_peft_model(merged_model(base)[0], lora_config(method, manifest.modules)).eval()
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    model, _ = merged_model(base)
    before = logits(model)
    merge(model, adapter_of(peft, manifest.modules, method.scaling))
    assert np.abs(logits(model) - before).max() > 0.1
    np.testing.assert_allclose(logits(model), logits(peft), atol=1e-4)


def test_an_adapter_of_another_shape_is_refused(base: StackFiles) -> None:
    model, _ = merged_model(base)
    pair = LoraPair(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32))
    with pytest.raises(LayerRefused, match="another shape than the base has") as refused:
        merge(model, {"model.layers.0.mlp.up_proj": pair})
    assert refused.value.next_step


def test_a_stack_is_its_layers_one_after_the_other(
    base: StackFiles, industry: StackFiles, scenario: StackFiles
) -> None:
    answers = [logits(merged_model(one)[0]) for one in (base, industry, scenario)]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    assert np.abs(answers[1] - answers[2]).max() > 1e-3
    broken = replace(scenario, layers=(*scenario.layers[:1], *scenario.layers[2:]))
    with pytest.raises(LayerRefused, match="was made on top of other layers"):
        merged_model(broken)


def test_weights_in_several_files_are_one_base(copied: Path) -> None:
    whole = logits(base_model(copied, read_manifest(copied)))
    tensors = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    names = sorted(tensors)
    half = len(names) // 2
    files = {"model-1.safetensors": names[:half], "model-2.safetensors": names[half:]}
    for file, kept in files.items():
        save_file({name: tensors[name] for name in kept}, copied / file, {"format": "pt"})
    index = {name: file for file, kept in files.items() for name in kept}
    (copied / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index})
    )
    manifest = renamed(copied)
    np.testing.assert_array_equal(logits(base_model(copied, manifest)), whole)
    (copied / "model-2.safetensors").write_bytes(b"other")
    with pytest.raises(LayerRefused, match="does not hold the weights that it names"):
        base_model(copied, manifest)


def _drop(tensors: dict[str, Any]) -> None:
    del tensors["model.norm.weight"]


def _add(tensors: dict[str, Any]) -> None:
    tensors["model.layers.7.mlp.up_proj.weight"] = torch.zeros(2, 2)


def _reshape(tensors: dict[str, Any]) -> None:
    tensors["model.norm.weight"] = torch.zeros(3)


@pytest.mark.parametrize("spoil", [_drop, _add, _reshape])
def test_weights_that_do_not_fit_the_configuration_are_refused(
    copied: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    path = copied / "model.safetensors"
    tensors = dict(load_file(path))
    spoil(tensors)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(LayerRefused, match="The weights do not fit config"):
        base_model(copied, renamed(copied))


def test_other_weights_than_the_manifest_names_are_refused(copied: Path) -> None:
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    manifest = read_manifest(copied).model_copy(update={"weights": "sha256:" + "0" * 64})
    with pytest.raises(LayerRefused, match="does not hold the weights"):
        base_model(copied, manifest)
    path.unlink()
    with pytest.raises(LayerRefused, match="does not hold the weights"):
        base_model(copied, manifest)


def test_a_configuration_that_is_none_is_refused(copied: Path) -> None:
    change_json(copied / "config.json", num_hidden_layers="two")
    with pytest.raises(LayerRefused, match="do not fit config"):
        base_model(copied, read_manifest(copied))


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    settings = Qwen3Architecture.model_validate({"type": "qwen3", "hidden_size": 32})
    config = qwen3_config(settings, eos=1, pad=0)
    for name in ("one", "two"):
        torch.manual_seed(5)
        save_weights(new_model(config), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    spoiled = new_model(config)
    with torch.no_grad():
        spoiled.model.norm.weight[0] = float("nan")
    with pytest.raises(LayerRefused, match=r"model\.norm\.weight ended in numbers"):
        save_weights(spoiled, tmp_path / "three")
    assert not (tmp_path / "three").exists()


def test_the_configuration_is_the_recipes(base: StackFiles) -> None:
    config, architecture = read_config(base.base.directory)
    assert config["rope_parameters"]["rope_theta"] == 10_000
    assert architecture.tied
    assert architecture.context_length == 128
    long = Qwen3Architecture.model_validate({"type": "qwen3", "max_position_embeddings": 32768})
    assert qwen3_config(long, eos=1, pad=0)["rope_parameters"]["rope_theta"] == 1_000_000


def test_a_four_million_base_is_small_on_disk(tmp_path: Path) -> None:
    """The story's base; it is kept in a repository."""
    settings = Qwen3Architecture.model_validate({"type": "qwen3", "vocab_size": 4096})
    model = new_model(qwen3_config(settings, eos=1, pad=0))
    save_weights(model, tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_size < 8_000_000
