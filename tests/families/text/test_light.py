"""A site runs the family where PyTorch, Transformers and `gguf` are not installed."""

from __future__ import annotations

from pathlib import Path

from tests.families.light import probed
from tests.families.text.served import exported
from tests.families.text.tuning_factory import LORA, build, tickets

from dizuo.artifacts.model import StackFiles


def test_spec_score_footprint_and_runtime_need_nothing_heavy(
    base: StackFiles, tmp_path: Path
) -> None:
    layer = build(tmp_path, "site", tickets(90, seed=1), base, method={**LORA, "epochs": 6})
    said = probed("text", exported(tmp_path, layer))
    assert said == "16 16 True the prompt is not a list of 1 to 256 messages"
