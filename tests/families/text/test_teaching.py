"""TRL's trainers, and what is undone of what they do unasked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.families.text.tuning_factory import LORA

from dizuo.artifacts.model import StackFiles
from dizuo.core.progress import silent
from dizuo.families import trainer as trainer_steps
from dizuo.families.text import teaching
from dizuo.families.text.layer import read_manifest
from dizuo.families.text.lessons import Lesson, Pair
from dizuo.families.text.network import Model, adapter_of, lora_config, merged_model
from dizuo.families.text.recipe import LoraMethod, parse_method
from dizuo.families.text.teaching import (
    Course,
    attention_for,
    computes_in_half,
    teach,
    teach_preferences,
    threads_for,
)
from dizuo.families.text.tokens import Tokens, read_tokens

LESSONS = [Lesson([5, 6, 7 + n, 8, 9 + n][: 3 + n % 3], 2) for n in range(12)]


class Taught:
    """Teaches a fresh adapter on the base, with changed settings."""

    def __init__(self, base: StackFiles, root: Path) -> None:
        self._base, self._root = base, root
        self.tokens: Tokens = read_tokens(base.base.directory)
        self.modules = read_manifest(base.base.directory).modules
        self._number = 0

    def __call__(self, lessons: Sequence[Any] = LESSONS, **changes: Any) -> dict[str, Any]:
        self._number += 1
        method = parse_method({**LORA, "epochs": 1, "precision": "fp32", **changes})
        assert not isinstance(method, LoraMethod) or method.kind == "lora"
        course = Course(
            method=method,
            seed=3,
            work="sha256:" + "1" * 64,
            checkpoints=self._root / str(self._number),
            half=False,
            report=silent,
            cancelled=lambda: False,
        )
        model, _ = merged_model(self._base)
        config = lora_config(method, self.modules)  # type: ignore[arg-type]
        work: Callable[..., Model] = teach_preferences if changes.get("kind") == "dpo" else teach
        model = work(model, self.tokens, lessons, course, adapter=config)
        assert not list((self._root / str(self._number)).glob("README.md"))
        pairs = adapter_of(model, self.modules, method.scaling)  # type: ignore[union-attr]
        return {module: pair.delta() for module, pair in pairs.items()}


@pytest.fixture
def taught(base: StackFiles, tmp_path: Path) -> Taught:
    return Taught(base, tmp_path)


def far(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference, in shares of the largest change."""
    size = max(abs(delta).max() for delta in one.values())
    return float(max(abs(one[name] - other[name]).max() for name in one) / size)


def test_gradients_may_be_summed_or_computed_again(taught: Taught) -> None:
    plain = taught(batch_size=12)
    assert far(plain, taught(batch_size=12)) == 0
    assert far(plain, taught(batch_size=4, gradient_accumulation=3)) < 0.05
    assert far(plain, taught(batch_size=12, gradient_checkpointing=True)) < 1e-3
    assert far(plain, taught(batch_size=12, learning_rate=2e-2)) > 0.1


def test_the_loss_is_trls(taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [taught(batch_size=4), taught(packing=True, max_length=16, batch_size=2)]
    monkeypatch.setattr(teaching, "MOST_LOGITS", 0)
    theirs = [taught(batch_size=4), taught(packing=True, max_length=16, batch_size=2)]
    assert max(map(far, ours, theirs)) < 1e-2


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which attention each training takes."""
    found: list[str] = []
    train = trainer_steps.train

    def watched(trainer: Any, work: str) -> None:
        found.append(trainer.model.config._attn_implementation)
        train(trainer, work)

    monkeypatch.setattr(teaching, "train", watched)
    return found


def test_scores_that_are_kept_teach_what_the_fused_kernel_teaches(
    taught: Taught, used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [Pair([5, 6], [7, 8], [9, 10])] * 8
    kept = [taught(batch_size=4), taught(pairs, kind="dpo", batch_size=4)]
    taught(packing=True, max_length=16, batch_size=2)
    monkeypatch.setattr(teaching, "MOST_SCORES", 0)
    fused = [taught(batch_size=4), taught(pairs, kind="dpo", batch_size=4)]
    assert max(map(far, kept, fused)) < 1e-2
    assert used == ["eager", "eager", "sdpa", "sdpa", "sdpa"]


def test_each_pair_has_the_scores_of_two_sequences(
    base: StackFiles, taught: Taught, used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `memory` counts them."""
    config = merged_model(base)[0].config
    scores = config.num_hidden_layers * config.num_attention_heads * 2 * 4 * 4**2
    for most in (scores, scores - 1):
        monkeypatch.setattr(teaching, "MOST_SCORES", most)
        taught([Pair([5, 6], [7, 8], [9, 10])] * 8, kind="dpo", batch_size=4)
    assert used == ["eager", "sdpa"]


@pytest.mark.parametrize(
    ("num_sequences", "length", "on_gpu", "used"),
    [(4, 100, False, "eager"), (4, 100, True, "sdpa"), (64, 4000, False, "sdpa")],
)
def test_few_scores_are_kept_on_a_processor(  # noqa: PLR0917  a table
    base: StackFiles,
    monkeypatch: pytest.MonkeyPatch,
    num_sequences: int,
    length: int,
    on_gpu: bool,
    used: str,
) -> None:
    model, _ = merged_model(base)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: on_gpu)
    with attention_for(model, num_sequences, length):
        assert model.config._attn_implementation == used
    assert model.config._attn_implementation == "sdpa"


def test_packed_sequences_do_not_see_each_other(taught: Taught) -> None:
    """All of them in one pack teach what they teach side by side."""
    assert far(taught(batch_size=12), taught(packing=True, max_length=64, batch_size=1)) < 0.05


def test_only_the_answer_is_learned(taught: Taught) -> None:
    """Which tokens were given matters for the loss: on one more of them, something else is
    learned."""
    shorter = [Lesson(lesson.ids, 1) for lesson in LESSONS]
    assert far(taught(batch_size=12), taught(shorter, batch_size=12)) > 0.01


def test_preferences_move_away_from_what_was_rejected(taught: Taught) -> None:
    pairs = [Pair([5, 6], [7, 8], [9, 10])] * 8
    turned = [Pair(pair.prompt, pair.rejected, pair.chosen) for pair in pairs]
    settings = {"kind": "dpo", "batch_size": 8, "beta": 0.5}
    one, other = taught(pairs, **settings), taught(turned, **settings)
    assert all(delta.any() for delta in one.values())
    assert far(one, {name: -delta for name, delta in other.items()}) < 0.2


def test_nobody_is_told_about_a_training(taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    import trl.trainer.base_trainer as theirs

    monkeypatch.setattr(theirs, "send_telemetry", lambda *a, **k: told.append((a, k)))
    monkeypatch.delenv("CI", raising=False)
    taught(batch_size=12)
    taught([Pair([5, 6], [7, 8], [9, 10])] * 4, kind="dpo")
    assert told == []


def test_half_precision_is_used_where_the_machine_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert computes_in_half("bf16")
    assert not computes_in_half("fp32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machines: dict[str, bool] = {"amx_bf16": True, "avx512_bf16": True, "avx512_f": False}
    for name, expected in machines.items():
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {name: True})
        assert computes_in_half("auto") is expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert computes_in_half("auto")


def test_small_work_takes_one_thread() -> None:
    layer: Any = torch.nn.Linear(10, 10)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(layer, 100):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with threads_for(layer, 10**9):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_rows_of_about_one_length_share_a_batch_in_an_order_that_can_be_repeated() -> None:
    lengths = [5 + (37 * n) % 90 for n in range(1000)]
    sampler = teaching._ByLength(lengths, 10, 3)
    first = list(sampler)
    assert sorted(first) == list(range(1000))
    batches = [[lengths[index] for index in first[at : at + 10]] for at in range(0, 1000, 10)]
    assert sum(max(batch) for batch in batches) * 10 < 1.1 * sum(lengths)
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    again = teaching._ByLength(lengths, 10, 3)
    assert list(again) == first
    again.set_epoch(1)
    assert list(again) == second
