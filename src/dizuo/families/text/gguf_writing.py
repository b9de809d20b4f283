"""What a base and an adapter have in common as GGUF files: numeric types, header and padding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Literal

import gguf
import numpy as np
from gguf import GGMLQuantizationType as TensorType
from numpy.typing import NDArray

Quantisation = Literal["f16", "q8_0", "q4_0"]
TYPES: Mapping[Quantisation, TensorType] = {
    "f16": TensorType.F16,
    "q8_0": TensorType.Q8_0,
    "q4_0": TensorType.Q4_0,
}
_FILE_TYPES: Mapping[Quantisation, gguf.LlamaFileType] = {
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}
HALF_MAX = float(np.finfo(np.float16).max)


def fitting_type(shape: Sequence[int], wanted: TensorType) -> TensorType:
    """The wanted type, or half floats where rows do not divide into its blocks."""
    block_size, _ = gguf.GGML_QUANT_SIZES[wanted]
    return wanted if shape[-1] % block_size == 0 else TensorType.F16


def num_bytes(shape: Sequence[int], kind: TensorType) -> int:
    """The size of a tensor in a file, without padding."""
    block_size, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return int(math.prod(shape) // block_size * block_bytes)


def quantise(numbers: NDArray[Any], kind: TensorType) -> bytes:
    """Numbers, rows first, in the form that a file holds them."""
    # A block of numbers too small for a half float has the scale 0, whatever is multiplied by it.
    with np.errstate(over="ignore", invalid="ignore"):
        return bytes(gguf.quantize(np.ascontiguousarray(numbers, dtype=np.float32), kind).data)


def add_tensor(writer: gguf.GGUFWriter, name: str, shape: Sequence[int], kind: TensorType) -> None:
    """Announce a tensor; its bytes are written later, in the order of these calls."""
    # Called floats, its shape is taken as it is; called bytes, it would be that of the blocks.
    floats = np.dtype(np.float32)
    writer.add_tensor_info(name, shape, floats, num_bytes(shape, kind), raw_dtype=kind)


def add_format(writer: gguf.GGUFWriter, quantisation: Quantisation) -> None:
    """Say how the tensors are quantised."""
    writer.add_file_type(_FILE_TYPES[quantisation])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def header_bytes(writer: gguf.GGUFWriter) -> bytes:
    """What a writer would put before its first tensor, padded to where that begins."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "header.gguf"
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        header = path.read_bytes()
    return header + bytes(-len(header) % writer.data_alignment)


def write_tensor(stream: BinaryIO, pieces: Iterable[bytes]) -> None:
    """A tensor's bytes, padded to where the next one begins."""
    written = sum(stream.write(piece) for piece in pieces)
    stream.write(bytes(-written % gguf.GGUF_DEFAULT_ALIGNMENT))
