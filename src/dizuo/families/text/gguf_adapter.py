"""A layer's `adapter.safetensors` as a LoRA GGUF, which llama.cpp lays over a base at load.

Per module M of the base's blocks the file holds `M.lora_A.weight` (rank, in) and `M.lora_B.weight`
(out, rank), the scaling folded into B. llama.cpp multiplies by alpha / rank, so alpha is the rank.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dizuo.core.files import open_atomic
from dizuo.families.errors import LayerRefused
from dizuo.families.text.gguf_architecture import Architecture, read_architecture, reorder_rows
from dizuo.families.text.gguf_writing import (
    HALF_MAX,
    TYPES,
    add_format,
    add_tensor,
    fitting_type,
    header_bytes,
    quantise,
    write_tensor,
)

AdapterType = Literal["f16", "q8_0"]

_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")

Matrix = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One module's change: A of shape (rank, in) and B of shape (out, rank)."""

    a: Matrix
    b: Matrix


def write_adapter(
    adapter: Path, base_config: Mapping[str, Any], destination: Path, dtype: AdapterType
) -> None:
    """Write an adapter for the base that a `config.json` describes, whole or not at all.

    With `q8_0`, rows that divide into blocks of 32 numbers are quantised: those of every A, and
    those of B where the rank does. The same adapter gives the same bytes.

    Raises:
        LayerRefused: it was not made for such a base, or cannot be laid over one.
        ModelRefused: llama.cpp does not run such a base.
    """
    architecture = read_architecture(base_config)
    pairs = _read_pairs(adapter, architecture)
    ranks = {len(pair.a) for pair in pairs.values()}
    if len(ranks) > 1:
        raise _refused(f"mixes the ranks {', '.join(map(str, sorted(ranks)))}", adapter)
    writer = gguf.GGUFWriter(None, architecture.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(ranks.pop()))
    add_format(writer, dtype)
    matrices = _named(pairs, architecture)
    types = {name: fitting_type(matrix.shape, TYPES[dtype]) for name, matrix in matrices.items()}
    for name, matrix in matrices.items():
        add_tensor(writer, name, matrix.shape, types[name])
    with open_atomic(destination) as stream:
        stream.write(header_bytes(writer))
        for name, matrix in matrices.items():
            write_tensor(stream, [quantise(matrix, types[name])])


def _named(pairs: Mapping[str, _Pair], architecture: Architecture) -> dict[str, Matrix]:
    """All matrices by their names in llama.cpp, rows in its order."""
    names = architecture.gguf_names()
    found = {}
    for module, pair in pairs.items():
        weight = f"{module}.weight"
        heads = architecture.heads_to_reorder(weight)
        found[f"{names[weight]}.lora_a"] = pair.a
        found[f"{names[weight]}.lora_b"] = reorder_rows(pair.b, heads) if heads else pair.b
    return found


def _read_pairs(adapter: Path, architecture: Architecture) -> dict[str, _Pair]:
    """The pairs by module, in the order of the base's modules."""
    tensors = _read_tensors(adapter)
    modules = architecture.linear_modules()
    for name in sorted(tensors):
        match = _NAME.fullmatch(name)
        if match is None or match["module"] not in modules:
            raise _refused(f"holds {name[:80]}, which the base does not have", adapter)
    pairs = {}
    for module, shape in modules.items():
        a, b = (tensors.get(f"{module}.lora_{side}.weight") for side in "AB")
        if a is None and b is None:
            continue
        if a is None or b is None:
            raise _refused(f"holds only one half of {module}", adapter)
        if a.ndim != 2 or b.ndim != 2 or len(a) != b.shape[1] or (len(b), a.shape[1]) != shape:
            raise _refused(f"does not fit the base's {module} of shape {shape}", adapter)
        pairs[module] = _Pair(a, b)
    if not pairs:
        raise _refused("holds no tensors", adapter)
    return pairs


def _read_tensors(adapter: Path) -> dict[str, Matrix]:
    try:
        tensors: dict[str, Matrix] = load_file(adapter)
    except (OSError, SafetensorError) as error:
        raise _refused("cannot be read", adapter) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in (np.float16, np.float32):
            raise _refused(f"keeps {name[:80]} as {tensor.dtype}, not as half floats", adapter)
        if not (np.abs(tensor) <= HALF_MAX).all():
            raise _refused("holds numbers that are not finite half floats", adapter)
    return tensors


def _refused(reason: str, adapter: Path) -> LayerRefused:
    return LayerRefused(
        f"The adapter in {adapter.parent.name} {reason}.", next_step="Build the layer again."
    )
