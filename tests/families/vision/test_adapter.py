"""Adapters: half precision on disk, exact in composition, and nothing else in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from dizuo.families.errors import LayerRefused
from dizuo.families.vision.adapter import (
    Adapter,
    LoraPair,
    compose,
    read_adapter,
    write_adapter,
)


def adapter(rank: int, seed: int, modules: tuple[str, ...] = ("conv", "linear")) -> Adapter:
    random = np.random.default_rng(seed)

    def tensor(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float16).astype(np.float32)

    pairs = {
        "conv": LoraPair(tensor(rank, 4, 3, 3), tensor(5, rank, 1, 1)),
        "linear": LoraPair(tensor(rank, 7), tensor(6, rank)),
    }
    return Adapter({name: pairs[name] for name in modules}, tensor(3, 6), tensor(3))


def test_it_reads_back_as_it_was(tmp_path: Path) -> None:
    written = adapter(2, 0)
    write_adapter(written, tmp_path / "a.safetensors")
    found = read_adapter(tmp_path / "a.safetensors", ("conv", "linear"))
    assert found.pairs.keys() == written.pairs.keys()
    for module, pair in written.pairs.items():
        assert np.array_equal(found.pairs[module].a, pair.a)
        assert np.array_equal(found.pairs[module].b, pair.b)
    assert np.array_equal(found.head_weight, written.head_weight)
    assert found.head_bias.dtype == np.float32


def test_the_same_adapter_gives_the_same_bytes(tmp_path: Path) -> None:
    write_adapter(adapter(2, 0), tmp_path / "a")
    write_adapter(adapter(2, 0), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@given(ranks=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_composed_layers_change_a_weight_by_the_sum_of_their_changes(
    ranks: list[int], seed: int
) -> None:
    layers = [adapter(rank, seed + depth) for depth, rank in enumerate(ranks)]
    together = compose(layers)
    for module in ("conv", "linear"):
        apart = np.sum([layer.pairs[module].delta() for layer in layers], axis=0)
        assert together.pairs[module].rank == sum(ranks)
        assert np.allclose(together.pairs[module].delta(), apart, atol=1e-4)
    assert np.array_equal(together.head_weight, layers[-1].head_weight)


def test_layers_may_change_different_modules() -> None:
    low, high = adapter(2, 0, ("conv",)), adapter(3, 1, ("linear",))
    together = compose([low, high])
    assert np.array_equal(together.pairs["conv"].a, low.pairs["conv"].a)
    assert np.array_equal(together.pairs["linear"].b, high.pairs["linear"].b)


def test_layers_of_different_shapes_do_not_compose() -> None:
    odd = LoraPair(np.zeros((1, 9), np.float32), np.zeros((6, 1), np.float32))
    other = Adapter({"linear": odd}, np.zeros((3, 6), np.float32), np.zeros(3, np.float32))
    with pytest.raises(LayerRefused, match="give linear different shapes"):
        compose([adapter(1, 0), other])


F16 = np.float16
SPOILED: dict[str, tuple[dict[str, Any], str]] = {
    "batch norm that moved": ({"bn.running_mean": np.zeros(4, F16)}, r"holds bn\.running_mean"),
    "a whole module": ({"conv.weight": np.zeros((5, 4, 3, 3), F16)}, r"holds conv\.weight"),
    "DoRA": ({"conv.lora_magnitude_vector": np.zeros(5, F16)}, "cannot be laid over a base"),
    "single precision": ({"head.bias": np.zeros(3, np.float32)}, "not finite half floats"),
    "not a number": ({"head.bias": np.full(3, np.nan, F16)}, "not finite half floats"),
    "infinity": ({"conv.lora_B": np.full((5, 2, 1, 1), np.inf, F16)}, "not finite half floats"),
    "ranks that differ": ({"conv.lora_B": np.zeros((5, 3, 1, 1), F16)}, "do not belong together"),
    "dimensions that differ": ({"conv.lora_B": np.zeros((5, 2), F16)}, "do not belong together"),
    "three dimensions": (
        {"conv.lora_A": np.zeros((2, 4, 3), F16), "conv.lora_B": np.zeros((5, 2, 1), F16)},
        "do not belong together",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_does_not_compose_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "adapter.safetensors"
    write_adapter(adapter(2, 0), path)
    changes, says = SPOILED[name]
    save_file({**load_file(path), **changes}, path)
    with pytest.raises(LayerRefused, match=says):
        read_adapter(path, ("conv", "linear"))


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    write_adapter(adapter(2, 0), path)
    tensors = load_file(path)
    del tensors["linear.lora_B"]
    save_file(tensors, path)
    with pytest.raises(LayerRefused, match=r"lacks linear\.lora_B"):
        read_adapter(path, ("conv", "linear"))


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04K\x01.", b"\xff" * 64])
def test_what_is_not_safetensors_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "adapter.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LayerRefused, match="cannot be read"):
        read_adapter(path, ("conv",))
