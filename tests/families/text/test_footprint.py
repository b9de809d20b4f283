"""How much memory an engine takes, told from a base's files."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.families.errors import LayerRefused
from dizuo.families.text.footprint import (
    FILES_FACTOR,
    PROCESS_BYTES,
    bytes_beside_files,
    engine_bytes,
    opening_bytes,
)
from dizuo.families.text.layer import Answering, Manifest, write_manifest

HIDDEN, VOCABULARY, LAYERS, HEADS = 512, 1000, 3, 8
DIGEST = sha256_bytes(b"x")


def base(
    folder: Path, *, context: int = 100_000, wanted: int = 2048, **metadata: int
) -> dict[str, StackFiles]:
    """The stack of a base whose GGUF file says these things of itself, and holds no weights."""
    write_manifest(
        folder,
        Manifest(
            kind="base",
            architecture="qwen3",
            hidden_size=HIDDEN,
            vocab_size=VOCABULARY,
            context_length=context,
            modules=(),
            weights=DIGEST,
            base_weights=DIGEST,
            tokenizer=DIGEST,
            chat_template=DIGEST,
            answering=Answering(context_tokens=wanted),
        ),
    )
    writer = gguf.GGUFWriter(folder / "model.gguf", "qwen3")
    writer.add_token_list(["a", "b"])
    for key, value in metadata.items():
        writer.add_uint32(f"qwen3.{key.replace('__', '.')}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return {"m": StackFiles("m", 1, DIGEST, "gguf", (LayerDirectory(Level.L0, "m", folder),))}


def cache_bytes(
    folder: Path, *, context: int = 100_000, wanted: int = 2048, **metadata: int
) -> int:
    """What is told beyond the process, its files and one batch."""
    stacks = base(folder, context=context, wanted=wanted, block_count=LAYERS, **metadata)
    batch = 2048 * 4 * (2 * VOCABULARY + 8 * HIDDEN)
    return engine_bytes(stacks, file_bytes=0) - PROCESS_BYTES - batch


def test_a_cache_keeps_keys_and_values_of_each_slot(tmp_path: Path) -> None:
    heads = {
        "attention__head_count": HEADS,
        "attention__head_count_kv": 2,
        "attention__key_length": 128,
        "attention__value_length": 96,
    }
    assert cache_bytes(tmp_path, **heads) == 4 * 2048 * LAYERS * 2 * (128 + 96) * 2


def test_heads_are_as_large_and_as_many_as_is_usual_where_nothing_is_said(tmp_path: Path) -> None:
    found = cache_bytes(tmp_path, attention__head_count=HEADS)
    assert found == 4 * 2048 * LAYERS * HIDDEN * 2 * 2


def test_a_slot_is_no_longer_than_the_model_reads(tmp_path: Path) -> None:
    found = cache_bytes(tmp_path, context=128, attention__head_count=HEADS)
    assert found == 4 * 256 * LAYERS * HIDDEN * 2 * 2, "llama.cpp keeps memory in steps of 256"


def test_a_slot_is_as_long_as_the_layer_asks_for(tmp_path: Path) -> None:
    found = cache_bytes(tmp_path, wanted=5000, attention__head_count=HEADS)
    assert found == 4 * 5120 * LAYERS * HIDDEN * 2 * 2


def test_a_model_that_is_still_to_be_made_takes_as_much(tmp_path: Path) -> None:
    made = engine_bytes(
        base(tmp_path, block_count=LAYERS, attention__head_count=HEADS), file_bytes=0
    )
    assert bytes_beside_files(LAYERS * HIDDEN * 2, HIDDEN, VOCABULARY, 2048) == made


def test_a_file_alone_tells_what_opening_it_takes(tmp_path: Path) -> None:
    sizes = {"block_count": LAYERS, "attention__head_count": HEADS, "embedding_length": HIDDEN}
    base(tmp_path, **sizes)
    model = tmp_path / "model.gguf"
    batch = 2048 * 4 * (2 * 2 + 8 * HIDDEN)  # its vocabulary has two tokens
    cache = 4 * 512 * LAYERS * HIDDEN * 2 * 2
    assert opening_bytes(model, 300) == model.stat().st_size + batch + cache


def test_files_count(tmp_path: Path) -> None:
    stacks = base(tmp_path)
    more = engine_bytes(stacks, file_bytes=1000) - engine_bytes(stacks, file_bytes=0)
    assert more == FILES_FACTOR * 1000


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 40, None])
def test_a_file_that_tells_nothing_is_refused(tmp_path: Path, content: bytes | None) -> None:
    stacks = base(tmp_path)
    (tmp_path / "model.gguf").unlink()
    if content is not None:
        (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(LayerRefused, match=r"The model.gguf of .* cannot be read") as refused:
        engine_bytes(stacks, file_bytes=0)
    assert refused.value.next_step
