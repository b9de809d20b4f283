"""How much memory a text engine takes, told before it starts. Light.

llama.cpp reserves its key-value cache whole when it opens: for each slot, token and block the keys
and values of every head, in half floats. While it reads it holds, for a batch of tokens in single
precision, some copies of the hidden state, and while it embeds the logits of the whole vocabulary
twice: as they are computed and as they are handed out.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dizuo.artifacts.model import StackFiles
from dizuo.families.errors import LayerRefused
from dizuo.families.text.gguf_header import HeaderReader, Malformed
from dizuo.families.text.layer import MODEL_GGUF_NAME, read_manifest
from dizuo.families.text.slots import BATCH_TOKENS, SLOTS

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
    tokens = SLOTS * max(read_manifest(files.top.directory).window for files in stacks.values())
    cache = tokens * _cache_numbers(_metadata(base / MODEL_GGUF_NAME), manifest.hidden_size)
    batch = BATCH_TOKENS * (2 * manifest.vocab_size + _HIDDEN_COPIES * manifest.hidden_size)
    held = FILES_FACTOR * file_bytes + _HALF_BYTES * cache + _SINGLE_BYTES * batch
    return PROCESS_BYTES + held


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
