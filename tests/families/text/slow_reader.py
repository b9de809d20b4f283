"""A language model that takes seconds to read a long prompt, on one thread of any processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from benchmarks.rig import language

from dizuo.artifacts.model import StackFiles
from dizuo.families.golden import GOLDEN_NAME, ExpectedAnswer, write_golden
from dizuo.families.text.runtime import open_engine

SIZES = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 8,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "max_position_embeddings": 2048,
    "vocab_size": 1024,
}
LONG: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "路灯不亮积水很深" * 200}],
    "temperature": 0,
    "max_tokens": 2,
}
SHORT: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "路灯不亮"}],
    "temperature": 0,
    "max_tokens": 2,
}


def slow_reader(folder: Path) -> StackFiles:
    """Its weights are random."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language, "ARCHITECTURES", {"slow": SIZES})
        return language.build_base("slow", folder).exported


def expect_what_it_says(stack: StackFiles) -> None:
    """Give a stack a golden set of what it answers in this process, so that a site takes it."""
    engine = open_engine({stack.name: stack}, threads=1)
    request = {"requests": [dict(SHORT)]}
    (seen,) = engine.infer(stack.name, request).observations
    engine.close()
    expected = ExpectedAnswer(request=request, answer=seen.answer, confidence=seen.confidence)
    write_golden(stack.top.directory / GOLDEN_NAME, [expected])
