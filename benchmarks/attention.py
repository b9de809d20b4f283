"""Seconds of a training step: attention scores kept whole, as small steps on a processor have them,
against PyTorch's fused kernel, which keeps none.

The model, its rows and the recipe are those of the hotline's base; the sides train in turns.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from ruamel.yaml import YAML

from benchmarks.rig.machine import machine
from benchmarks.rig.result import Result, publish, run
from dizuo.cli.output import say
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import silent
from dizuo.demo.hotline.copying import base_rows
from dizuo.demo.hub import recipe_text
from dizuo.families.text import teaching
from dizuo.families.text.lessons import Lesson, Reading, texts_of
from dizuo.families.text.network import new_model, qwen3_config
from dizuo.families.text.recipe import PretrainMethod, parse_method, parse_task
from dizuo.families.text.tokenizer import CHAT_TEMPLATE, learn_tokenizer, tokenizer_config
from dizuo.families.text.tokens import Tokens, tokens_of

SIDES = {"whole": 1 << 62, "fused": 0}
"""The most scores that a step may have for them to be kept."""
_SEED = 1


def main(
    steps: Annotated[int, typer.Option(min=2, help="Of each training.")] = 50,
    turns: Annotated[int, typer.Option(min=1, help="Trainings of each side.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Of PyTorch.")] = 2,
) -> None:
    """Seconds of a training step with attention scores kept whole, against the fused kernel.

    Example: python -m benchmarks.attention --steps 25 --threads 1
    """
    if torch.cuda.is_available():
        raise InvalidInput(
            "Scores are kept on processors alone.",
            next_step="Hide the graphics processor: CUDA_VISIBLE_DEVICES= python -m ...",
        )
    about = machine()
    torch.set_num_threads(threads)
    say("Making rows and a tokenizer ...")
    course = _Course.of_base(steps)
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(turns):
        for side, most in SIDES.items():
            seconds[side].append(course.seconds_a_step(most))
            say(f"Turn {turn + 1} of {turns}, {side}: {seconds[side][-1]:.3f} s a step")
    medians = {side: median(found) for side, found in seconds.items()}
    result = Result(
        name="attention",
        aim="a small model's step takes less time with attention scores kept whole",
        measured=round(medians["whole"] / medians["fused"], 3),
        unit="of the fused kernel's seconds",
        met=medians["whole"] < medians["fused"],
        raw={
            "steps": steps,
            "threads": threads,
            "batch_size": course.method.batch_size,
            "longest": max(len(lesson.ids) for lesson in course.lessons),
            "seconds_a_step": {side: _rounded(found) for side, found in seconds.items()},
            "machine": about,
        },
    )
    rows = [(side, f"{medians[side]:.3f}", *_rounded(seconds[side])) for side in SIDES]
    publish(result, ("side", ">median s", *(f">turn {turn + 1}" for turn in range(turns))), rows)


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(one, 4) for one in seconds]


@dataclass(frozen=True, slots=True)
class _Course:
    """What the base learns first."""

    method: PretrainMethod
    tokens: Tokens
    lessons: Sequence[Lesson]

    @classmethod
    def of_base(cls, num_steps: int) -> _Course:
        """So many steps of the committed recipe."""
        recipe: dict[str, Any] = YAML(typ="safe").load(recipe_text("hotline-base"))
        method, task = parse_method(recipe["method"]), parse_task(recipe["task"])
        assert isinstance(method, PretrainMethod)
        rows = list(base_rows(num_steps * method.batch_size, _SEED))
        vocabulary = learn_tokenizer(texts_of(rows, task), method.architecture.vocab_size)
        settings = tokenizer_config(method.architecture.max_position_embeddings)
        tokens = tokens_of(vocabulary, CHAT_TEMPLATE, settings)
        lessons, _ = Reading(tokens, task, method.max_length).lessons(rows)
        return cls(method, tokens, lessons)

    def seconds_a_step(self, most_scores: int) -> float:
        """Train a new model; the trainer's own beginning is shared out among the steps."""
        torch.manual_seed(_SEED)
        config = qwen3_config(
            self.method.architecture,
            eos=self.tokens.end_of_turn,
            pad=self.tokens.end_of_text,
        )
        model, num_steps = new_model(config), len(self.lessons) // self.method.batch_size
        with tempfile.TemporaryDirectory(prefix="dizuo-attention-") as folder:
            course = teaching.Course(
                self.method,
                _SEED,
                sha256_bytes(b"benchmarks.attention"),
                Path(folder),
                teaching.computes_in_half(self.method.precision),
                silent,
                lambda: False,
            )
            with _keeping(most_scores):
                began = time.perf_counter()
                teaching.teach(model, self.tokens, self.lessons, course)
                return (time.perf_counter() - began) / num_steps


@contextmanager
def _keeping(most_scores: int) -> Iterator[None]:
    """Keep scores up to so many, in place of the product's own bound."""
    before, teaching.MOST_SCORES = teaching.MOST_SCORES, most_scores
    try:
        yield
    finally:
        teaching.MOST_SCORES = before


if __name__ == "__main__":
    run(main)
