"""What a training takes, by the formula and measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dizuo.core.errors import InvalidInput
from dizuo.families.text import memory
from dizuo.families.text.gguf_architecture import Architecture, read_architecture
from dizuo.families.text.memory import Estimate, Workload, estimate, require
from dizuo.families.text.network import qwen3_config
from dizuo.families.text.recipe import Qwen3Architecture
from dizuo.families.text.teaching import MOST_LOGITS

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


def test_few_attention_scores_are_kept_and_counted() -> None:
    few = workload(num_sequences=2, length=64)
    packed = replace(few, packed=True)
    scores = few.architecture.num_layers * few.architecture.num_heads * 2 * 64**2
    assert estimate(few).activations - estimate(packed).activations == 4 * scores
    many = workload(num_sequences=64, length=4096)
    assert estimate(many) == estimate(replace(many, packed=True))


def test_the_logits_of_a_long_batch_are_bounded() -> None:
    """Whole ones where few enough of its tokens are learned, else tiles, which are less here."""
    longest = estimate(workload(num_sequences=4096)).logits
    assert longest == estimate(workload(num_sequences=8192)).logits == 4 * 3 * MOST_LOGITS
    assert longest > 4 * 10 * 4096 * 1000


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


def test_the_logits_of_a_large_vocabulary_are_whole_up_to_a_bound() -> None:
    settings = Qwen3Architecture.model_validate({"type": "qwen3", "vocab_size": 151_936})
    large = read_architecture(qwen3_config(settings, eos=1, pad=0))
    few = workload(architecture=large, num_sequences=8, length=100)
    assert estimate(few).logits == 4 * 3 * 800 * 151_936
    assert estimate(replace(few, half=True)).logits == 4 * 4 * 800 * 151_936
    many = replace(few, num_sequences=100)
    assert estimate(many).logits == 4 * 10 * 4096 * 32_768


def test_some_memory_is_free() -> None:
    assert memory.free_bytes() > 10**8


CHILD = """
import json, sys, threading
from pathlib import Path
import psutil
from dizuo.families.text import tune
from dizuo.families.text.gguf_architecture import read_architecture
from dizuo.families.text.lessons import Lesson, Pair
from dizuo.families.text.network import lora_config, new_model, qwen3_config
from dizuo.families.text.recipe import Qwen3Architecture, parse_method
from dizuo.families.text.teaching import Course, computes_in_half, teach, teach_preferences
from dizuo.families.text.tokenizer import CHAT_TEMPLATE, learn_tokenizer, tokenizer_config
from dizuo.families.text.tokens import tokens_of

LENGTH = 128
method = parse_method(json.loads(sys.argv[2]))
tokens = tokens_of(learn_tokenizer(["x"], 300), CHAT_TEMPLATE, tokenizer_config(512))
whole = {"type": "qwen3", "vocab_size": 1000}

def run(length, shape):
    config = qwen3_config(Qwen3Architecture.model_validate(shape), eos=1, pad=0)
    architecture = read_architecture(config)
    folder, half = Path(sys.argv[1]) / str(length), computes_in_half(method.precision)
    course = Course(method, 1, "sha256:" + "0" * 64, folder, half, lambda _: None, lambda: False)
    model, num_rows = new_model(config), method.batch_size
    if method.kind == "pretrain":
        teach(model, tokens, [Lesson([5] * length, 0)] * num_rows, course)
        return architecture
    adapter = lora_config(method, list(architecture.linear_modules()))
    if method.kind == "dpo":
        given, (one, other) = length // 2, ([6] * (length // 2), [7] * (length // 2))
        pairs = [Pair([5] * given, one, other)] * num_rows
        teach_preferences(model, tokens, pairs, course, adapter=adapter)
    else:
        teach(model, tokens, [Lesson([5] * length, 0)] * num_rows, course, adapter=adapter)
    return architecture

run(16, {**whole, "num_hidden_layers": 1, "hidden_size": 64})  # loads what is loaded once
process = psutil.Process()
before, done, peak = process.memory_info().rss, threading.Event(), [0]

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], process.memory_info().rss)

watcher = threading.Thread(target=watch)
watcher.start()
architecture = run(LENGTH, whole)
done.set()
watcher.join()
print(peak[0] - before, tune._check_memory(method, architecture, LENGTH).total)
"""
PRETRAIN = {
    "kind": "pretrain",
    "architecture": {"type": "qwen3", "vocab_size": 1000},
    "epochs": 1,
    "learning_rate": 1e-3,
    "batch_size": 16,
    "max_length": 128,
    "precision": "fp32",
}
LORA = {**PRETRAIN, "kind": "lora", "rank": 8}
del LORA["architecture"]
DPO = {**LORA, "kind": "dpo"}


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(PRETRAIN, id="pretrain"),
        pytest.param({**PRETRAIN, "precision": "bf16"}, id="half", marks=pytest.mark.slow),
        pytest.param(
            {**PRETRAIN, "gradient_checkpointing": True},
            id="checkpointing",
            marks=pytest.mark.slow,
        ),
        pytest.param(LORA, id="lora", marks=pytest.mark.slow),
        pytest.param(
            {**LORA, "gradient_checkpointing": True},
            id="lora with checkpointing",
            marks=pytest.mark.slow,
        ),
        pytest.param(DPO, id="dpo", marks=pytest.mark.slow),
    ],
)
def test_the_estimate_is_near_what_is_measured(tmp_path: Path, method: dict[str, Any]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), json.dumps(method)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    measured, estimated = map(int, ran.stdout.split())
    assert measured / 2 < estimated < measured * 2
