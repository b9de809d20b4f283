"""`adapter.safetensors`: the LoRA tensors of one text layer. Light.

Per module M, as PEFT names them, `M.lora_A.weight` of shape (rank, in) and `M.lora_B.weight` of
shape (out, rank), both half precision, the scaling alpha/rank folded into B. Nothing else may be in
the file. A layer's change to a weight is B·A; changes of several layers add up.
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
from dizuo.families.quantiles import Floats

Adapter = Mapping[str, "LoraPair"]
"""LoRA pairs by module."""


@dataclass(frozen=True, slots=True)
class LoraPair:
    """One module's change: `a` of shape (rank, in), `b` of shape (out, rank)."""

    a: Floats
    b: Floats

    @property
    def rank(self) -> int:
        """Rows of A, columns of B."""
        return int(self.a.shape[0])

    def delta(self) -> Floats:
        """B·A, of shape (out, in)."""
        return self.b @ self.a


def write_adapter(adapter: Adapter, path: Path) -> None:
    """Write an adapter in half precision; the same adapter gives the same bytes.

    Raises:
        LayerRefused: a number is too large for half precision, or none at all.
    """
    tensors: dict[str, NDArray[np.float16]] = {}
    for module, pair in sorted(adapter.items()):
        for side, values in (("A", pair.a), ("B", pair.b)):
            tensors[_name(module, side)] = _halves(values, module)
    write_atomic(path, save(tensors, metadata={"format": "pt"}))


def _halves(values: Floats, module: str) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = np.ascontiguousarray(values, dtype=np.float16)
    if not np.isfinite(halves).all():
        raise LayerRefused(
            f"The training of {module} ended in numbers that are not finite half floats.",
            next_step="Lower method.learning_rate, and check the rows.",
        )
    return halves


def _name(module: str, side: str) -> str:
    return f"{module}.lora_{side}.weight"


def read_adapter(path: Path, modules: Sequence[str]) -> dict[str, LoraPair]:
    """The adapter in a file, which must change exactly these modules.

    Raises:
        LayerRefused: the file cannot be read, or holds something that does not compose.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _refused("cannot be read", path) from error
    expected = {_name(module, side) for module in modules for side in "AB"}
    extra, missing = sorted(tensors.keys() - expected), sorted(expected - tensors.keys())
    if extra:
        raise _refused(f"holds {extra[0]}, which cannot be laid over a base", path)
    if missing:
        raise _refused(f"lacks {missing[0]}", path)
    if any(t.dtype != np.float16 or not np.isfinite(t).all() for t in tensors.values()):
        raise _refused("holds numbers that are not finite half floats", path)
    return {module: _pair(tensors, module, path) for module in modules}


def _pair(tensors: Mapping[str, NDArray[np.float16]], module: str, path: Path) -> LoraPair:
    a, b = tensors[_name(module, "A")], tensors[_name(module, "B")]
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or a.shape[0] == 0:
        raise _refused(f"holds tensors of {module} that do not belong together", path)
    return LoraPair(a.astype(np.float32), b.astype(np.float32))


def _refused(reason: str, path: Path) -> LayerRefused:
    return LayerRefused(
        f"The adapter in {path.parent.name} {reason}.", next_step="Build the layer again."
    )
