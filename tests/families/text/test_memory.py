"""What a training takes, by the formula and measured."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dizuo.core.errors import InvalidInput
from dizuo.families.text import memory
from dizuo.families.text.gguf_architecture import Architecture, read_architecture
from dizuo.families.text.memory import Estimate, Workload, estimate, require
from dizuo.families.text.network import qwen3_config
from dizuo.families.text.recipe import Qwen3Architecture

REPOSITORY = Path(__file__).parents[3]


def architecture() -> Architecture:
    settings = Qwen3Architecture.model_validate({"type": "qwen3", "vocab_size": 1000})
    return read_architecture(qwen3_config(settings, eos=1, pad=0))


def workload(**changes: object) -> Workload:
    built = architecture()
    whole = Workload(
        architecture=built,
        num_learning=built.num_parameters,
        rank=0,
        num_sequences=8,
        length=64,
        checkpointing=False,
        half=False,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_parameters_are_counted() -> None:
    built = architecture()
    block = 256 * (256 + 128 + 128) + 256 * 256 + 3 * 256 * 512 + 2 * 256 + 2 * 64
    assert built.num_parameters == 1000 * 256 + 4 * block + 256
    pairs = (256 + 256) * 2 + (128 + 256) * 2 + (512 + 256) * 3
    assert memory.num_adapter_parameters(built, 4) == 4 * 4 * pairs


def test_what_learns_has_gradients_and_moments() -> None:
    whole = estimate(workload())
    assert whole.weights == whole.gradients == whole.optimizer // 2
    learning = memory.num_adapter_parameters(architecture(), 8)
    adapter = estimate(workload(rank=8, num_learning=learning))
    assert adapter.weights == whole.weights + 4 * learning
    assert adapter.gradients == 4 * learning
    assert adapter.total < whole.total


def test_activations_grow_with_the_tokens_and_shrink_with_checkpointing() -> None:
    one, two = estimate(workload()), estimate(workload(num_sequences=16))
    assert two.activations == 2 * one.activations
    assert two.logits == 2 * one.logits
    assert estimate(workload(checkpointing=True)).activations < one.activations / 2
    halved = estimate(workload(half=True))
    assert halved.activations < 0.6 * one.activations
    assert halved.weights == one.weights * 1.5


def test_the_logits_of_a_long_batch_are_in_tiles() -> None:
    assert estimate(workload(num_sequences=4096)).logits == 4 * 10 * 4096 * 1000


@pytest.mark.parametrize(
    ("needed", "checkpointing", "step"),
    [
        (Estimate(1, 1, 1, 97 * 10**9, 0), False, "gradient_checkpointing: true"),
        (Estimate(1, 1, 1, 97 * 10**9, 0), True, "Lower method.batch_size"),
        (Estimate(97 * 10**9, 1, 1, 1, 0), False, "more memory"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_helps(
    needed: Estimate, checkpointing: bool, step: str
) -> None:
    require(needed, 98 * 10**9, checkpointing=checkpointing)
    with pytest.raises(InvalidInput, match=r"about 97\.0 GB of memory, and 0\.5 GB") as refused:
        require(needed, 5 * 10**8, checkpointing=checkpointing)
    assert step in refused.value.next_step


def test_a_control_group_bounds_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory.free_bytes()
    assert whole > 10**8
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert memory.free_bytes() == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes() > 10**8


CHILD = """
import sys, threading, time
from pathlib import Path
import psutil, torch
from dizuo.families.text import memory
from dizuo.families.text.lessons import Lesson
from dizuo.families.text.network import new_model, qwen3_config
from dizuo.families.text.recipe import parse_method
from dizuo.families.text.teaching import Course, teach
from dizuo.families.text.tokenizer import CHAT_TEMPLATE, learn_tokenizer, tokenizer_config
from dizuo.families.text.tokens import tokens_of
from tests.families.text.test_memory import architecture, workload

method = parse_method({
    "kind": "pretrain", "epochs": 1, "learning_rate": 1e-3, "batch_size": 16, "max_length": 128,
    "precision": "fp32", "architecture": {"type": "qwen3", "vocab_size": 1000},
})
tokens = tokens_of(learn_tokenizer(["x"], 300), CHAT_TEMPLATE, tokenizer_config(512))
config = qwen3_config(method.architecture, eos=1, pad=0)

def run(length, config):
    folder = Path(sys.argv[1]) / str(length)
    course = Course(method, 1, "sha256:" + "0" * 64, folder, False, lambda _: None, lambda: False)
    teach(new_model(config), tokens, [Lesson([5] * length, 0)] * 16, course)

run(16, {**config, "num_hidden_layers": 1, "hidden_size": 64})  # loads what is loaded once
process = psutil.Process()
before, done, peak = process.memory_info().rss, threading.Event(), []

def watch():
    while not done.is_set():
        peak.append(process.memory_info().rss)
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
run(128, config)
done.set()
watcher.join()
print(max(peak) - before, memory.estimate(workload(num_sequences=16, length=128)).total)
"""


@pytest.mark.slow
def test_the_estimate_is_near_what_is_measured(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    measured, estimated = map(int, ran.stdout.split())
    assert measured / 2 < estimated < measured * 2
