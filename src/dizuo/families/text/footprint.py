"""How much memory a text engine takes, told before it starts. Light.

llama.cpp reserves its key-value cache whole when it opens: for each slot, token (of as many as
`slots.cached_tokens` says) and block the keys and values of every head, in half floats. While it
reads it holds, for a batch of tokens in single precision, some copies of the hidden state, and
while it embeds the logits of the whole vocabulary twice: as they are computed and as they are
handed out.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dizuo.artifacts.model import StackFiles
from dizuo.families.errors import LayerRefused
from dizuo.families.text.gguf_header import Array, HeaderReader, Malformed
from dizuo.families.text.layer import MODEL_GGUF_NAME, read_manifest
from dizuo.families.text.slots import BATCH_TOKENS, SLOTS, cached_tokens

SMALLER = "Lower task.context_tokens, take a smaller base, or use a machine with more memory."
"""See `dizuo.families.base.Footprint`."""

PROCESS_BYTES = 120_000_000
"""The interpreter, NumPy and llama.cpp, before they hold anything."""
FILES_FACTOR = 2
"""The base is mapped, and its quantised weights lie in memory again as the processor likes them."""
_HALF_BYTES, _SINGLE_BYTES = 2, 4
_HIDDEN_COPIES = 8


def engine_bytes(stacks: Mapping[str, StackFiles], *, file_bytes: int) -> int:
    """See `dizuo.families.base.Footprint`.

    Raises:
        LayerRefused: the base's files cannot be read.
    """
    base = next(iter(stacks.values())).base.directory
    manifest = read_manifest(base)
    window = max(read_manifest(files.top.directory).window for files in stacks.values())
    cached = _cache_numbers(_metadata(base / MODEL_GGUF_NAME), manifest.hidden_size)
    held = _held_bytes(cached, manifest.hidden_size, manifest.vocab_size, window)
    return PROCESS_BYTES + FILES_FACTOR * file_bytes + held


def bytes_beside_files(cached: int, hidden_size: int, vocab_size: int, window: int) -> int:
    """As `engine_bytes`, of a model that is still to be made: what its engine takes beside its
    files, whatever the target.

    Args:
        cached: numbers that keys and values of one token are, in all blocks.
        hidden_size: of the model.
        vocab_size: of the model.
        window: tokens in each slot.
    """
    return PROCESS_BYTES + _held_bytes(cached, hidden_size, vocab_size, window)


def opening_bytes(model: Path, window: int) -> int:
    """Bytes that llama.cpp takes for this GGUF file, its cache and one batch, in a process that
    runs already, with so many tokens in each slot.

    Raises:
        LayerRefused: the file cannot be read.
    """
    known = _metadata(model)
    hidden_size = _count(known, f"{known.get('general.architecture')}.embedding_length", 0)
    tokens = known.get("tokenizer.ggml.tokens")
    vocab_size = tokens.length if isinstance(tokens, Array) else 0
    held = _held_bytes(_cache_numbers(known, hidden_size), hidden_size, vocab_size, window)
    return model.stat().st_size + held


def _held_bytes(cached: int, hidden_size: int, vocab_size: int, window: int) -> int:
    """The cache of every slot, of so many numbers a token, and one batch."""
    cache = SLOTS * cached_tokens(window) * cached
    batch = BATCH_TOKENS * (2 * vocab_size + _HIDDEN_COPIES * hidden_size)
    return _HALF_BYTES * cache + _SINGLE_BYTES * batch


def _cache_numbers(metadata: Mapping[str, Any], hidden_size: int) -> int:
    """Keys and values of one token, in numbers. A count that differs from block to block is taken
    for its most."""
    known = f"{metadata.get('general.architecture')}."
    num_layers = _count(metadata, f"{known}block_count", 0)
    num_heads = _count(metadata, f"{known}attention.head_count", 1)
    num_kept = _count(metadata, f"{known}attention.head_count_kv", num_heads)
    size = hidden_size // num_heads
    keys = _count(metadata, f"{known}attention.key_length", size)
    values = _count(metadata, f"{known}attention.value_length", size)
    return num_layers * num_kept * (keys + values)


def _count(metadata: Mapping[str, Any], key: str, default: int) -> int:
    value = metadata.get(key)
    return value if isinstance(value, int) and value > 0 else default


def _metadata(path: Path) -> Mapping[str, Any]:
    try:
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            header = HeaderReader(data)
            header.read_metadata()
            return header.metadata
    except (OSError, ValueError, Malformed) as error:  # a file of no bytes cannot be mapped
        raise LayerRefused(
            f"The {path.name} of {path.parent.name} cannot be read.",
            next_step="Fetch or build the layer again.",
        ) from error
