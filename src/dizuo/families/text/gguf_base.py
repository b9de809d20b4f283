"""A base model as one GGUF file: what llama.cpp's own converter and quantiser would write.

Tensors pass one after the other, in pieces of rows, so that no model is ever whole in memory. The
same model gives the same bytes, in however many files it comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as TensorType

from dizuo.core.files import open_atomic
from dizuo.core.progress import Progress, Reporter
from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_architecture import (
    EMBEDDING,
    OUTPUT,
    ROPE_FACTORS,
    Architecture,
    read_architecture,
    reorder_rows,
)
from dizuo.families.text.gguf_tokenizer import read_vocabulary
from dizuo.families.text.gguf_writing import (
    HALF_MAX,
    TYPES,
    Quantisation,
    add_format,
    add_tensor,
    fitting_type,
    header_bytes,
    num_bytes,
    quantise,
    write_tensor,
)
from dizuo.families.text.model_directory import read_config
from dizuo.families.text.weight_files import Tensors, check_tensors, open_tensors

_NUMBERS_AT_ONCE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Planned:
    """A tensor of the file to write: what it is called there and here, its shape (rows first), its
    type, and how many heads' rows to reorder."""

    name: str
    source: str
    shape: tuple[int, ...]
    type: TensorType
    num_heads: int


def write_base(
    directory: Path, destination: Path, quantisation: Quantisation, report: Reporter
) -> None:
    """Write the model in a Hugging Face folder as one GGUF file, whole or not at all.

    Raises:
        ModelRefused: it is none that llama.cpp runs as it was trained; says why and what to do.
    """
    config = read_config(directory)
    architecture = read_architecture(config)
    vocabulary = read_vocabulary(directory, config, architecture.vocab_size)
    plan = _plan(architecture, TYPES[quantisation])
    factors = architecture.rope_factors()
    writer = gguf.GGUFWriter(None, architecture.name)
    writer.add_type(gguf.GGUFType.MODEL)
    num_parameters = sum(math.prod(planned.shape) for planned in plan)
    writer.add_size_label(gguf.size_label(num_parameters, num_parameters, 0, 0))
    architecture.add_metadata(writer)
    vocabulary.add_metadata(writer)
    add_format(writer, quantisation)
    if factors is not None:
        add_tensor(writer, ROPE_FACTORS, factors.shape, TensorType.F32)
    for planned in plan:
        add_tensor(writer, planned.name, planned.shape, planned.type)
    with open_tensors(directory) as tensors, open_atomic(destination) as stream:
        check_tensors(tensors, architecture)
        stream.write(header_bytes(writer))
        if factors is not None:
            write_tensor(stream, [factors.tobytes()])
        _write_tensors(stream, tensors, plan, report)


def _write_tensors(
    stream: BinaryIO, tensors: Tensors, plan: list[_Planned], report: Reporter
) -> None:
    total = sum(num_bytes(planned.shape, planned.type) for planned in plan)
    done = 0
    for planned in plan:
        report(Progress("export", done, total, unit="byte", message=planned.name))
        write_tensor(stream, _pieces(tensors, planned))
        done += num_bytes(planned.shape, planned.type)
    report(Progress("export", done, total, unit="byte"))


def _plan(architecture: Architecture, wanted: TensorType) -> list[_Planned]:
    names = architecture.gguf_names()
    return [
        _Planned(
            name=names[source],
            source=source,
            shape=shape,
            type=_type(source, shape, wanted, architecture),
            num_heads=architecture.heads_to_reorder(source),
        )
        for source, shape in architecture.shapes().items()
    ]


def _type(
    source: str, shape: tuple[int, ...], wanted: TensorType, architecture: Architecture
) -> TensorType:
    """As `llama-quantize` chooses: norms and biases stay whole, and the weight that the output is
    computed with gets more than four bits."""
    if len(shape) == 1:
        return TensorType.F32
    if wanted is TensorType.Q4_0 and source == (EMBEDDING if architecture.tied else OUTPUT):
        wanted = TensorType.Q8_0
    return fitting_type(shape, wanted)


def _pieces(tensors: Tensors, planned: _Planned) -> Iterator[bytes]:
    """A tensor in its type, in pieces of whole rows; one that is reordered in one piece."""
    num_rows = planned.shape[0]
    at_once = max(1, _NUMBERS_AT_ONCE // math.prod(planned.shape[1:]))
    if planned.num_heads:
        at_once = num_rows
    for start in range(0, num_rows, at_once):
        stop = min(start + at_once, num_rows)
        rows = tensors.rows(planned.source, start, stop).to(torch.float32).numpy()
        if not np.isfinite(rows).all():
            raise _refused(f"hold numbers in {planned.source} that are not finite")
        if planned.type is not TensorType.F32 and np.abs(rows).max() > HALF_MAX:
            raise _refused(f"hold numbers in {planned.source} that are too large for half floats")
        if planned.num_heads:
            rows = reorder_rows(rows, planned.num_heads)
        yield quantise(rows, planned.type)


def _refused(reason: str) -> ModelRefused:
    return ModelRefused(f"The model's weights {reason}.", next_step="Fetch the model again.")
