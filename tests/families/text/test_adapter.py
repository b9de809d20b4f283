"""The file of an adapter: what is in it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dizuo.families.errors import LayerRefused
from dizuo.families.text.adapter import LoraPair, read_adapter, write_adapter

MODULES = ("model.layers.0.mlp.up_proj", "model.layers.0.self_attn.q_proj")


def adapter(seed: int = 0) -> dict[str, LoraPair]:
    chance = np.random.default_rng(seed)

    def numbers(*shape: int) -> Any:
        return chance.normal(size=shape).astype(np.float32)

    return {module: LoraPair(numbers(2, 6), numbers(5, 2)) for module in MODULES}


def test_it_is_read_as_it_was_written_but_for_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    write_adapter(adapter(), path)
    read = read_adapter(path, MODULES)
    for module, pair in adapter().items():
        assert read[module].rank == 2
        assert read[module].delta().shape == (5, 6)
        np.testing.assert_array_equal(read[module].a, pair.a.astype(np.float16).astype(np.float32))
        np.testing.assert_allclose(read[module].delta(), pair.b @ pair.a, atol=0.02)


def test_the_same_adapter_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    write_adapter(adapter(), tmp_path / "one")
    write_adapter(dict(reversed(adapter().items())), tmp_path / "other")
    write_adapter(adapter(1), tmp_path / "different")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "different").read_bytes()


@pytest.mark.parametrize("number", [1e6, np.nan, np.inf])
def test_numbers_that_half_precision_does_not_have_are_refused(
    tmp_path: Path, number: float
) -> None:
    spoiled = adapter()
    spoiled[MODULES[0]].a[0, 0] = number
    with pytest.raises(LayerRefused, match="not finite half floats") as refused:
        write_adapter(spoiled, tmp_path / "adapter.safetensors")
    assert "learning_rate" in refused.value.next_step
    assert not list(tmp_path.iterdir())


def _spoil(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda tensors: tensors.__setitem__(name, value)


A = f"{MODULES[0]}.lora_A.weight"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_spoil("lm_head.weight", np.zeros(3, np.float16)), "holds lm_head.weight"),
        (lambda tensors: tensors.pop(A), "lacks model.layers.0.mlp.up_proj.lora_A.weight"),
        (_spoil(A, np.zeros((2, 6), np.float32)), "not finite half floats"),
        (_spoil(A, np.full((2, 6), np.nan, np.float16)), "not finite half floats"),
        (_spoil(A, np.zeros((3, 6), np.float16)), "do not belong together"),
        (_spoil(A, np.zeros(2, np.float16)), "do not belong together"),
    ],
    ids=["extra", "missing", "single precision", "not a number", "another rank", "a vector"],
)
def test_what_does_not_compose_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], says: str
) -> None:
    path = tmp_path / "adapter.safetensors"
    write_adapter(adapter(), path)
    tensors = load_file(path)
    spoil(tensors)
    save_file(tensors, path)
    with pytest.raises(LayerRefused, match=says):
        read_adapter(path, MODULES)


@pytest.mark.parametrize("content", [None, b"not safetensors"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "adapter.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LayerRefused, match="cannot be read"):
        read_adapter(path, MODULES)
