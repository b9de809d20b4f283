"""What a GGUF file holds, told from its header: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Nothing is believed that does not lie inside the file: a header that claims more is refused, before
anything is reserved for what it claims. Weights are not read.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
from gguf import GGMLQuantizationType, GGUFValueType

from dizuo.families.errors import ModelRefused

_VERSIONS = (2, 3)
_MAX_DIMENSIONS = 4
_MAX_NESTING = 2
_EMBEDDING = "token_embd.weight"
_SCALARS: Mapping[GGUFValueType, str] = {
    GGUFValueType.UINT8: "<B",
    GGUFValueType.INT8: "<b",
    GGUFValueType.UINT16: "<H",
    GGUFValueType.INT16: "<h",
    GGUFValueType.UINT32: "<I",
    GGUFValueType.INT32: "<i",
    GGUFValueType.FLOAT32: "<f",
    GGUFValueType.BOOL: "<?",
    GGUFValueType.UINT64: "<Q",
    GGUFValueType.INT64: "<q",
    GGUFValueType.FLOAT64: "<d",
}


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """A language model in a GGUF file. `tensor_types` counts tensors by type (`Q4_0`)."""

    architecture: str
    num_parameters: int
    context_length: int
    vocabulary_size: int
    has_chat_template: bool
    tensor_types: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Array:
    """An array of the metadata: only how long it is."""

    length: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int

    @property
    def num_bytes(self) -> int:
        """Without padding."""
        block_size, block_bytes = gguf.GGML_QUANT_SIZES[self.type]
        if self.shape[0] % block_size:
            raise _Malformed(f"the rows of {_shown(self.name)} do not divide into blocks")
        return int(math.prod(self.shape) // block_size * block_bytes)


class _Malformed(Exception):
    """Why a file is not a whole GGUF, one clause."""


def _shown(name: str) -> str:
    """A name that may be anything, on one line."""
    return name[:80] if name and name.isprintable() else repr(name[:80])


@dataclass(slots=True)
class _Header:
    """Reads a header from front to back, never past the end."""

    data: mmap.mmap
    position: int = 4
    metadata: dict[str, Any] = field(default_factory=dict)
    tensors: list[_Tensor] = field(default_factory=list)

    def read(self) -> None:
        """Everything before the first tensor's data."""
        version = self._scalar("<I")
        if version not in _VERSIONS:
            raise _Malformed(f"it is of version {version}; versions 2 and 3 are known")
        num_tensors, num_values = self._scalar("<Q"), self._scalar("<Q")
        for _ in range(num_values):
            key = self._text()
            if key in self.metadata:
                raise _Malformed(f"it sets {_shown(key)} twice")
            self.metadata[key] = self._value(self._value_type(), 0)
        for _ in range(num_tensors):
            self.tensors.append(self._tensor())

    def _scalar(self, form: str) -> Any:
        start = self.position
        self._skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, start)[0]

    def _skip(self, num_bytes: int) -> None:
        if num_bytes > len(self.data) - self.position:
            raise _Malformed("it is cut short")
        self.position += num_bytes

    def _text(self) -> str:
        length = self._scalar("<Q")
        start = self.position
        self._skip(length)
        return self.data[start : self.position].decode("utf-8", errors="replace")

    def _value_type(self) -> GGUFValueType:
        number = self._scalar("<I")
        try:
            return GGUFValueType(number)
        except ValueError:
            raise _Malformed(f"it has a value of the unknown type {number}") from None

    def _value(self, kind: GGUFValueType, depth: int) -> Any:
        if kind is GGUFValueType.STRING:
            return self._text()
        if kind is not GGUFValueType.ARRAY:
            return self._scalar(_SCALARS[kind])
        if depth == _MAX_NESTING:
            raise _Malformed("it nests arrays too deeply")
        inner, length = self._value_type(), self._scalar("<Q")
        if inner in _SCALARS:
            self._skip(length * struct.calcsize(_SCALARS[inner]))
        elif inner is GGUFValueType.STRING:
            for _ in range(length):
                self._skip(self._scalar("<Q"))
        else:
            for _ in range(length):
                self._value(inner, depth + 1)
        return _Array(length)

    def _tensor(self) -> _Tensor:
        name = self._text()
        num_dimensions = self._scalar("<I")
        if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
            raise _Malformed(f"{_shown(name)} has {num_dimensions} dimensions")
        shape = tuple(self._scalar("<Q") for _ in range(num_dimensions))
        number = self._scalar("<I")
        try:
            kind = GGMLQuantizationType(number)
        except ValueError:
            raise _Malformed(f"{_shown(name)} is of the unknown type {number}") from None
        return _Tensor(name, shape, kind, self._scalar("<Q"))


def inspect_gguf(path: Path) -> GgufFacts:
    """What a GGUF file of a language model holds, once its header and length agree.

    Raises:
        ModelRefused: it is not a GGUF, not a whole one, or not of a language model.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"GGUF":
                raise ModelRefused(
                    f"{path.name} is not a GGUF file.", next_step="Give a file that ends in .gguf."
                )
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _Header(data)
                header.read()
                _check_data(header)
    except OSError as error:
        raise ModelRefused(f"{path.name} cannot be read.", next_step="Give a file.") from error
    except _Malformed as error:
        raise ModelRefused(
            f"{path.name} is not a whole GGUF file: {error}.", next_step="Fetch the file again."
        ) from error
    return _facts(path, header)


def _check_data(header: _Header) -> None:
    """Tensors must follow one another without a gap, as llama.cpp wants them, up to the end."""
    alignment = header.metadata.get("general.alignment", gguf.GGUF_DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise _Malformed("its alignment is not a power of two")
    names = Counter(tensor.name for tensor in header.tensors)
    if names and max(names.values()) > 1:
        raise _Malformed(f"it holds {_shown(names.most_common(1)[0][0])} twice")
    start = _aligned(header.position, alignment)
    offset = 0
    for tensor in header.tensors:
        if tensor.offset != offset:
            raise _Malformed(f"{_shown(tensor.name)} does not begin where the one before it ends")
        if start + offset + tensor.num_bytes > len(header.data):
            raise _Malformed(f"it is cut short inside {_shown(tensor.name)}")
        offset = _aligned(offset + tensor.num_bytes, alignment)


def _aligned(position: int, alignment: int) -> int:
    return position + -position % alignment


def _facts(path: Path, header: _Header) -> GgufFacts:
    known = header.metadata
    architecture = known.get("general.architecture")
    if not isinstance(architecture, str) or known.get("general.type", "model") != "model":
        kind = str(known.get("general.type"))[:40]
        raise _refused(path, f"holds no model (its type is {kind})", "Import a model's file.")
    if known.get("split.count", 1) != 1:
        raise _refused(
            path,
            f"is one of {known['split.count']} parts",
            "Join them with llama.cpp's llama-gguf-split --merge.",
        )
    context_length = known.get(f"{architecture}.context_length")
    tokens = known.get("tokenizer.ggml.tokens")
    if not header.tensors or not isinstance(context_length, int) or not isinstance(tokens, _Array):
        raise _refused(
            path, "has no weights, context length or vocabulary", "Import a language model."
        )
    num_embeddings = _num_embeddings(header.tensors)
    if num_embeddings not in (None, tokens.length):
        raise _refused(
            path,
            f"has {num_embeddings:,} embeddings for {tokens.length:,} tokens",
            "Convert it again, weights and tokenizer of one and the same model.",
        )
    return GgufFacts(
        architecture=architecture,
        num_parameters=sum(_num_parameters(header.tensors)),
        context_length=context_length,
        vocabulary_size=tokens.length,
        has_chat_template=bool(known.get("tokenizer.chat_template")),
        tensor_types=dict(sorted(Counter(tensor.type.name for tensor in header.tensors).items())),
    )


def _num_embeddings(tensors: list[_Tensor]) -> int | None:
    """Rows of the embedding, which llama.cpp wants as many of as there are tokens."""
    return next((tensor.shape[-1] for tensor in tensors if tensor.name == _EMBEDDING), None)


def _num_parameters(tensors: list[_Tensor]) -> Iterator[int]:
    """Of each tensor that was learned: llama.cpp's rotary factors were not."""
    for tensor in tensors:
        if not tensor.name.startswith("rope_"):
            yield math.prod(tensor.shape)


def _refused(path: Path, reason: str, next_step: str) -> ModelRefused:
    return ModelRefused(f"{path.name} {reason}.", next_step=next_step)
