"""What a GGUF file holds, told from its header: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Nothing is believed that does not lie inside the file: a header that claims more is refused, before
anything is reserved for what it claims. Weights are not read.
"""

from __future__ import annotations

import math
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType

from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_header import Array, HeaderReader, Malformed, shown

_MAX_DIMENSIONS = 4
_EMBEDDING = "token_embd.weight"


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
            raise Malformed(f"the rows of {shown(self.name)} do not divide into blocks")
        return int(math.prod(self.shape) // block_size * block_bytes)


@dataclass(slots=True)
class _Header(HeaderReader):
    """A header with its list of tensors."""

    tensors: list[_Tensor] = field(default_factory=list)

    def read(self) -> None:
        """Everything before the first tensor's data."""
        self.read_metadata()
        for _ in range(self.num_tensors):
            self.tensors.append(self._tensor())

    def _tensor(self) -> _Tensor:
        name = self.text()
        num_dimensions = self.scalar("<I")
        if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
            raise Malformed(f"{shown(name)} has {num_dimensions} dimensions")
        shape = tuple(self.scalar("<Q") for _ in range(num_dimensions))
        number = self.scalar("<I")
        try:
            kind = GGMLQuantizationType(number)
        except ValueError:
            raise Malformed(f"{shown(name)} is of the unknown type {number}") from None
        return _Tensor(name, shape, kind, self.scalar("<Q"))


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
    except Malformed as error:
        raise ModelRefused(
            f"{path.name} is not a whole GGUF file: {error}.", next_step="Fetch the file again."
        ) from error
    return _facts(path, header)


def _check_data(header: _Header) -> None:
    """Tensors must follow one another without a gap, as llama.cpp wants them, up to the end."""
    alignment = header.metadata.get("general.alignment", gguf.GGUF_DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise Malformed("its alignment is not a power of two")
    names = Counter(tensor.name for tensor in header.tensors)
    if names and max(names.values()) > 1:
        raise Malformed(f"it holds {shown(names.most_common(1)[0][0])} twice")
    start = _aligned(header.position, alignment)
    offset = 0
    for tensor in header.tensors:
        if tensor.offset != offset:
            raise Malformed(f"{shown(tensor.name)} does not begin where the one before it ends")
        if start + offset + tensor.num_bytes > len(header.data):
            raise Malformed(f"it is cut short inside {shown(tensor.name)}")
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
    if not header.tensors or not isinstance(context_length, int) or not isinstance(tokens, Array):
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
