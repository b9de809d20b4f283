"""`adapter.safetensors`: LoRA tensors and a head, and how several become one. Light.

Tensors, all half precision: per module M `M.lora_A` (rank first) and `M.lora_B` (rank second, the
scaling folded in), and `head.weight` (classes, d), `head.bias` (classes). Nothing else may be in
the file: batch-norm statistics, for example, would not survive composition, so they are refused.

Layers compose exactly by standing side by side along the rank:
B2·A2 + B1·A1 = [B1 B2]·[A1; A2]. The top layer's head answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from dizuo.core.files import write_atomic
from dizuo.families.errors import LayerRefused

Floats = NDArray[np.float32]
HEAD_WEIGHT = "head.weight"
HEAD_BIAS = "head.bias"


@dataclass(frozen=True, slots=True)
class LoraPair:
    """One module's change: A of shape (r, in, ...) and B of shape (out, r, ...)."""

    a: Floats
    b: Floats

    @property
    def rank(self) -> int:
        """Rows of A, columns of B."""
        return int(self.a.shape[0])

    def delta(self) -> Floats:
        """B·A in the shape of the module's weight (out, in, ...)."""
        product = self.b.reshape(self.b.shape[0], -1) @ self.a.reshape(self.rank, -1)
        return product.reshape(self.b.shape[0], *self.a.shape[1:])


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA pairs by module, and the head, in single precision."""

    pairs: Mapping[str, LoraPair]
    head_weight: Floats
    head_bias: Floats


def write_adapter(adapter: Adapter, path: Path) -> None:
    """Write an adapter in half precision; the same adapter gives the same bytes."""
    tensors: dict[str, NDArray[np.float16]] = {}
    for module, pair in adapter.pairs.items():
        tensors[f"{module}.lora_A"] = pair.a.astype(np.float16)
        tensors[f"{module}.lora_B"] = pair.b.astype(np.float16)
    tensors[HEAD_WEIGHT] = adapter.head_weight.astype(np.float16)
    tensors[HEAD_BIAS] = adapter.head_bias.astype(np.float16)
    write_atomic(path, save({name: np.ascontiguousarray(t) for name, t in tensors.items()}))


def read_adapter(path: Path, modules: Sequence[str]) -> Adapter:
    """The adapter in a file, which must change exactly these modules.

    Raises:
        LayerRefused: the file cannot be read, or holds something that does not compose.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _refused("cannot be read", path) from error
    expected = {f"{module}.lora_{side}" for module in modules for side in "AB"}
    expected |= {HEAD_WEIGHT, HEAD_BIAS}
    extra, missing = sorted(tensors.keys() - expected), sorted(expected - tensors.keys())
    if extra:
        raise _refused(f"holds {extra[0]}, which cannot be laid over a base", path)
    if missing:
        raise _refused(f"lacks {missing[0]}", path)
    if any(t.dtype != np.float16 or not np.isfinite(t).all() for t in tensors.values()):
        raise _refused("holds numbers that are not finite half floats", path)
    floats = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    return Adapter(
        {module: _pair(floats, module, path) for module in modules},
        floats[HEAD_WEIGHT],
        floats[HEAD_BIAS],
    )


def _pair(tensors: Mapping[str, Floats], module: str, path: Path) -> LoraPair:
    a, b = tensors[f"{module}.lora_A"], tensors[f"{module}.lora_B"]
    if a.ndim not in (2, 4) or b.ndim != a.ndim or a.shape[0] != b.shape[1]:
        raise _refused(f"holds tensors of {module} that do not belong together", path)
    return LoraPair(a, b)


def _refused(reason: str, path: Path) -> LayerRefused:
    return LayerRefused(
        f"The adapter in {path.parent.name} {reason}.", next_step="Build the layer again."
    )


def compose(adapters: Sequence[Adapter]) -> Adapter:
    """One adapter equal to all of them applied together, lowest first; the last one's head.

    Raises:
        LayerRefused: two of them give one module different shapes.
    """
    modules = sorted({module for adapter in adapters for module in adapter.pairs})
    pairs = {
        module: _side_by_side([a.pairs[module] for a in adapters if module in a.pairs], module)
        for module in modules
    }
    return Adapter(pairs, adapters[-1].head_weight, adapters[-1].head_bias)


def _side_by_side(pairs: Sequence[LoraPair], module: str) -> LoraPair:
    shapes = {(pair.a.shape[1:], pair.b.shape[:1]) for pair in pairs}
    if len(shapes) != 1:
        raise LayerRefused(f"Two layers give {module} different shapes.")
    return LoraPair(
        np.concatenate([pair.a for pair in pairs], axis=0),
        np.concatenate([pair.b for pair in pairs], axis=1),
    )
