"""Whether there is memory for an engine, told by the family's own formula."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.families.text.test_footprint import base

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput
from dizuo.families import room
from dizuo.families.vision.footprint import PROCESS_BYTES, WEIGHTS_FACTOR

QWEN3_0_6B = {
    "block_count": 28,
    "attention__head_count": 16,
    "attention__head_count_kv": 8,
    "attention__key_length": 128,
    "attention__value_length": 128,
}


def test_a_window_that_does_not_fit_is_refused_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four answers of 40,960 tokens keep 114,688 bytes for each token."""
    stacks = base(tmp_path, context=40_960, wanted=40_960, **QWEN3_0_6B)
    monkeypatch.setattr(room, "free_bytes", lambda: 16_000_000_000)
    with pytest.raises(InvalidInput, match=r"takes about 19\.0 GB of memory, and 16\.0") as refused:
        room.require_room("text", stacks)
    assert "task.context_tokens" in refused.value.next_step
    monkeypatch.setattr(room, "free_bytes", lambda: 20_000_000_000)
    room.require_room("text", stacks)


def test_a_file_that_two_layers_share_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "in").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "in" / "x").write_bytes(b"x" * 1000)
    os.link(tmp_path / "a" / "in" / "x", tmp_path / "b" / "x")
    (tmp_path / "b" / "y").write_bytes(b"x" * 500)
    layers = tuple(LayerDirectory(Level.L1, name, tmp_path / name) for name in ("a", "b"))
    stacks = {"m": StackFiles("m", 1, sha256_bytes(b"x"), "onnx", layers)}
    enough = PROCESS_BYTES + int(WEIGHTS_FACTOR * 1500)
    monkeypatch.setattr(room, "free_bytes", lambda: enough)
    room.require_room("vision", stacks)
    monkeypatch.setattr(room, "free_bytes", lambda: enough - 1)
    with pytest.raises(InvalidInput, match="are free here") as refused:
        room.require_room("vision", stacks)
    assert "context" not in refused.value.next_step
