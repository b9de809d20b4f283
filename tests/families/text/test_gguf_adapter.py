"""Layers laid over a base by llama.cpp answer as PEFT does; what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.families.text.gguf_factory import (
    PROMPTS,
    expected_logprobs,
    make_adapters,
    make_checkpoint,
    open_server,
    top_logprobs,
)
from tokenizers import Tokenizer

from dizuo.core.progress import silent
from dizuo.families.errors import LayerRefused, ModelRefused
from dizuo.families.text.gguf_adapter import write_adapter
from dizuo.families.text.gguf_base import write_base

Tensors = dict[str, np.ndarray[Any, Any]]

# As for a base, and the adapter's own rounding.
TOLERANCE = 2e-2
QUANTISED_TOLERANCE = 1e-1
LAYERS = ("industry", "scenario")


@dataclass(frozen=True, slots=True)
class Layered:
    """A base, two layers on it, and PEFT's model of all three."""

    directory: Path
    config: dict[str, Any]
    tokenizer: Tokenizer
    peft: Any

    def adapter(self, name: str) -> Path:
        return self.directory / name / "adapter.safetensors"


def build(directory: Path, kind: str) -> Layered:
    model = make_checkpoint(directory, kind)
    write_base(directory, directory / "base.gguf", "f16", silent)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    return Layered(directory, config, tokenizer, make_adapters(model, directory, LAYERS))


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def layered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layered:
    return build(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Layered:
    return build(tmp_path_factory.mktemp("llama"), "llama")


def worst_difference(layered: Layered, paths: dict[str, Path], layers: list[str]) -> float:
    """With these layers on, the largest difference in log-probability."""
    server = open_server(layered.directory / "base.gguf", list(paths.values()))
    scales = [float(name in layers) for name in paths]
    layered.peft.base_model.set_adapter(layers)
    differences = []
    for prompt in PROMPTS:
        found = top_logprobs(server, prompt, scales)
        ids = layered.tokenizer.encode(prompt).ids
        for token, logprob in expected_logprobs(layered.peft, ids).items():
            differences.append(abs(logprob - found.get(token, -100.0)))
    return max(differences)


def test_layers_apply_alone_and_together_as_in_peft(layered: Layered, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.gguf" for name in LAYERS}
    for name, path in paths.items():
        write_adapter(layered.adapter(name), layered.config, path, "f16")
    for layers in (["industry"], ["scenario"], ["industry", "scenario"]):
        assert worst_difference(layered, paths, layers) < TOLERANCE
    # They do change what is answered, by more than is tolerated.
    server = open_server(layered.directory / "base.gguf", list(paths.values()))
    bare = top_logprobs(server, PROMPTS[0], [0.0, 0.0])
    both = top_logprobs(server, PROMPTS[0], [1.0, 1.0])
    assert max(abs(bare[token] - both.get(token, -100.0)) for token in list(bare)[:5]) > 0.2


def test_a_quantised_layer_applies_nearly_as_in_peft(llama: Layered, tmp_path: Path) -> None:
    path = tmp_path / "0.gguf"
    write_adapter(llama.adapter("industry"), llama.config, path, "q8_0")
    assert worst_difference(llama, {"industry": path}, ["industry"]) < QUANTISED_TOLERANCE
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    assert types["blk.0.attn_q.weight.lora_a"] == "Q8_0"
    assert types["blk.0.attn_q.weight.lora_b"] == "F16"


def test_says_that_the_scaling_is_in_the_numbers(llama: Layered, tmp_path: Path) -> None:
    path = tmp_path / "0.gguf"
    write_adapter(llama.adapter("industry"), llama.config, path, "f16")
    fields = gguf.GGUFReader(path).fields
    wanted = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 8.0,
    }
    assert {key: fields[key].contents() for key in wanted} == wanted


def test_the_same_layer_gives_the_same_bytes(llama: Layered, tmp_path: Path) -> None:
    for name in ("one.gguf", "two.gguf"):
        write_adapter(llama.adapter("industry"), llama.config, tmp_path / name, "q8_0")
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


def test_a_layer_may_change_some_modules_only(llama: Layered, tmp_path: Path) -> None:
    tensors = load_file(llama.adapter("industry"))
    some = {name: tensor for name, tensor in tensors.items() if ".1.mlp.up_proj." in name}
    (tmp_path / "some").mkdir()
    save_file(some, tmp_path / "some" / "adapter.safetensors")
    path = tmp_path / "some.gguf"
    write_adapter(tmp_path / "some" / "adapter.safetensors", llama.config, path, "f16")
    assert [tensor.name for tensor in gguf.GGUFReader(path).tensors] == [
        "blk.1.ffn_up.weight.lora_a",
        "blk.1.ffn_up.weight.lora_b",
    ]
    open_server(llama.directory / "base.gguf", [path])


QUERY = "model.layers.0.self_attn.q_proj"


def renamed(name: str) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[name] = tensors.pop(f"{QUERY}.lora_A.weight")

    return change


def set_to(side: str, value: np.ndarray[Any, Any]) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({f"{QUERY}.lora_{side}.weight": value})


def halved(tensors: Tensors) -> None:
    tensors[f"{QUERY}.lora_A.weight"] = tensors[f"{QUERY}.lora_A.weight"][:4].copy()
    tensors[f"{QUERY}.lora_B.weight"] = tensors[f"{QUERY}.lora_B.weight"][:, :4].copy()


HALF = np.float16
REFUSED: list[tuple[Callable[[Tensors], object], str]] = [
    (
        renamed("model.layers.9.self_attn.q_proj.lora_A.weight"),
        "holds model.layers.9.self_attn.q_proj.lora_A.weight, which the base does not have",
    ),
    (renamed("lm_head.lora_A.weight"), "holds lm_head.lora_A.weight, which the base does not"),
    (renamed(f"{QUERY}.lora_magnitude_vector"), "which the base does not have"),
    (
        lambda tensors: tensors.pop(f"{QUERY}.lora_A.weight"),
        f"holds only one half of {QUERY}",
    ),
    (lambda tensors: tensors.clear(), "holds no tensors"),
    (set_to("A", np.ones((8, 32), HALF)), f"does not fit the base's {QUERY} of shape (64, 64)"),
    (set_to("B", np.ones((32, 8), HALF)), f"does not fit the base's {QUERY} of shape (64, 64)"),
    (set_to("B", np.ones((64, 4), HALF)), f"does not fit the base's {QUERY} of shape (64, 64)"),
    (set_to("B", np.ones((64, 8, 1), HALF)), f"does not fit the base's {QUERY} of shape (64, 64)"),
    (halved, "mixes the ranks 4, 8"),
    (set_to("A", np.full((8, 64), np.nan, HALF)), "holds numbers that are not finite half floats"),
    (
        set_to("A", np.full((8, 64), 1e6, np.float32)),
        "holds numbers that are not finite half floats",
    ),
    (set_to("A", np.ones((8, 64), np.int8)), "as int8, not as half floats"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=[said for _, said in REFUSED])
def test_refuses_what_cannot_be_laid_over_the_base(
    change: Callable[[Tensors], object], sentence: str, llama: Layered, tmp_path: Path
) -> None:
    tensors = load_file(llama.adapter("industry"))
    change(tensors)
    save_file(tensors, tmp_path / "adapter.safetensors")
    with pytest.raises(LayerRefused) as refused:
        write_adapter(tmp_path / "adapter.safetensors", llama.config, tmp_path / "0.gguf", "f16")
    assert sentence in refused.value.message
    assert refused.value.next_step == "Build the layer again."
    assert not (tmp_path / "0.gguf").exists()


def test_refuses_a_layer_of_another_base(llama: Layered, tmp_path: Path) -> None:
    narrow = {**llama.config, "hidden_size": 32}
    with pytest.raises(LayerRefused, match="does not fit the base's"):
        write_adapter(llama.adapter("industry"), narrow, tmp_path / "0.gguf", "f16")


def test_refuses_a_file_that_cannot_be_read(llama: Layered, tmp_path: Path) -> None:
    with pytest.raises(LayerRefused, match="cannot be read"):
        write_adapter(tmp_path / "none.safetensors", llama.config, tmp_path / "0.gguf", "f16")
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    with pytest.raises(LayerRefused, match="cannot be read"):
        write_adapter(tmp_path / "bad.safetensors", llama.config, tmp_path / "0.gguf", "f16")


def test_refuses_a_base_that_llama_cpp_does_not_run(llama: Layered, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="cannot be written as GGUF"):
        write_adapter(llama.adapter("industry"), {"model_type": "bert"}, tmp_path / "0.gguf", "f16")
