"""Teaching a model by TRL: one optimiser, resumable to the same bits. Heavy.

On a processor the same work with as many threads on the same machine gives the same bits, and a run
that is resumed gets as many threads as it began with; a graphics processor sums in an order that
varies, so there a resumed run ends close by, not equal.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from datasets.utils import logging as datasets_logging
from peft import LoraConfig, PeftModel
from torch import Tensor
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.utils import logging as transformers_logging
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.data_utils import pack_dataset

from datasets import Dataset
from dizuo.core.progress import Reporter
from dizuo.families.text.lessons import Lesson, Pair
from dizuo.families.text.network import Model
from dizuo.families.text.recipe import DpoMethod, PretrainMethod, Schedule
from dizuo.families.text.tokens import Tokens
from dizuo.families.trainer import ReportSteps, SealCheckpoints, train

_CHECKPOINTS = 8
_IGNORED = -100
_PRETRAIN_BETA2 = 0.98
"""Training from scratch forgets the first, large gradients sooner (Vaswani et al. 2017, 5.3)."""
MOST_LOGITS = 1 << 27
"""Above this TRL's tiles keep memory bounded."""
MOST_SCORES = 1 << 25
"""Attention scores of a step, over all layers, up to which a processor computes them whole
(docs/decisions/0311)."""
_SMALL_WORK = 8 * 10**9
"""Parameters times tokens of a step below which one thread computes (docs/decisions/0309)."""


class _ByLength(LengthGroupedSampler):  # type: ignore[misc]
    """Rows of about the same length in one batch, in an order that seed and epoch alone decide, so
    that a resumed run sees the rest of it."""

    def __init__(self, lengths: Sequence[int], at_once: int, seed: int) -> None:
        super().__init__(at_once, lengths=list(lengths))
        self._seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """What the trainer calls before each epoch."""
        self.generator = torch.Generator().manual_seed(self._seed + epoch)


class _Quiet:
    """Undoes what TRL's trainers do unasked: tell its makers about the training over the network,
    and write a card for a model that is published."""

    def _send_telemetry(self) -> None:
        """Tell nobody."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write none."""


class _Grouping:
    """Draws rows by length where `lengths` are set, in tokens."""

    args: Any
    lengths: Sequence[int] = ()

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Any:
        if not self.lengths:
            return super()._get_train_sampler(dataset)  # type: ignore[misc]
        at_once = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return _ByLength(self.lengths, at_once, self.args.seed)


class _Sft(_Grouping, _Quiet, SFTTrainer):  # type: ignore[misc]
    def compute_loss(
        self,
        model: Model,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The mean cross-entropy of the tokens that are learned, as TRL's.

        On a processor TRL puts every token through the output layer, those that are only given too,
        and measures more than is used here: a third of a small model's time.
        """
        labels = inputs["labels"][:, 1:]
        learned = labels != _IGNORED
        few = int(learned.sum()) * model.config.vocab_size <= MOST_LOGITS
        if return_outputs or num_items_in_batch is None or labels.is_cuda or not few:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-any-return]
        whole = self.accelerator.unwrap_model(model)
        plain = whole.get_base_model() if isinstance(whole, PeftModel) else whole
        read = {name: value for name, value in inputs.items() if name != "labels"}
        with self.accelerator.autocast():
            states = plain.base_model(**read, use_cache=False).last_hidden_state[:, :-1]
            logits = plain.get_output_embeddings()(states[learned])
        loss = F.cross_entropy(logits.float(), labels[learned], reduction="sum")
        return loss / num_items_in_batch


class _Dpo(_Grouping, _Quiet, DPOTrainer):  # type: ignore[misc]
    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        """The rows are tokens already."""
        return dataset


@dataclass(frozen=True, slots=True)
class Course:
    """How to teach: method, seed, the digest of the work, where checkpoints go, whether to compute
    in bfloat16 where autocast allows it; whom to tell, and whether to stop."""

    method: Schedule
    seed: int
    work: str
    checkpoints: Path
    half: bool
    report: Reporter
    cancelled: Callable[[], bool]

    @property
    def callbacks(self) -> list[Any]:
        """What every trainer calls."""
        return [SealCheckpoints(self.work), ReportSteps(self.report, self.cancelled)]


def computes_in_half(precision: str) -> bool:
    """Whether to train under bfloat16 autocast: where asked, or, by `auto`, where the machine
    multiplies bfloat16 itself (elsewhere it is emulated, and slower than single precision)."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


@contextmanager
def threads_for(model: Model, num_tokens: int) -> Iterator[None]:
    """One thread for small work, as many as there are for large.

    Small layers gain nothing from a second thread, and threads that wait for each other while other
    programs need the cores make small work many times slower.
    """
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    before = torch.get_num_threads()
    if num_parameters * num_tokens < _SMALL_WORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def holds_scores(num_layers: int, num_heads: int, num_sequences: int, length: int) -> bool:
    """Whether a step keeps all of its attention scores: where they are few, and on a processor.

    PyTorch's fused kernel, which keeps none, computes in small tiles there, and takes longer for
    rows of a hundred tokens than all the rest of the attention.
    """
    few = num_layers * num_heads * num_sequences * length**2 <= MOST_SCORES
    return few and not torch.cuda.is_available()


@contextmanager
def attention_for(model: Model, num_sequences: int, length: int) -> Iterator[None]:
    """Attention that suits steps of so many sequences of up to `length` tokens."""
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    config, before = whole.config, whole.config._attn_implementation
    if holds_scores(config.num_hidden_layers, config.num_attention_heads, num_sequences, length):
        whole.set_attn_implementation("eager")
    try:
        yield
    finally:
        whole.set_attn_implementation(before)


def teach(
    model: Model,
    tokens: Tokens,
    lessons: Sequence[Lesson],
    course: Course,
    *,
    adapter: LoraConfig | None = None,
) -> Model:
    """Train a model in place on sequences; with `adapter`, only a fresh one that is laid on it.

    A run that was killed goes on from its newest whole checkpoint and ends in the same bits.

    Returns:
        The model, wrapped by PEFT where there is an adapter.

    Raises:
        Cancelled: `cancelled()` became true.
    """
    data = Dataset.from_dict(
        {
            "input_ids": [list(lesson.ids) for lesson in lessons],
            "labels": [_labels(lesson) for lesson in lessons],
        }
    )
    packing = course.method.packing
    if packing:
        data = _packed(data, course.method.max_length)
    settings = SFTConfig(
        **_settings(course, len(data)),
        max_length=course.method.max_length,
        packing=packing,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    with _quiet():
        trainer = _Sft(
            model=model,
            args=settings,
            train_dataset=data,
            processing_class=tokens.tokenizer,
            peft_config=adapter,
            callbacks=course.callbacks,
        )
        return _run(trainer, course, [len(ids) for ids in data["input_ids"]])


def teach_preferences(
    model: Model,
    tokens: Tokens,
    pairs: Sequence[Pair],
    course: Course,
    *,
    adapter: LoraConfig,
) -> Model:
    """Train a fresh adapter on a model by preferences; the model without it is the reference.

    As `teach` in all else.
    """
    method = course.method
    assert isinstance(method, DpoMethod)
    data = Dataset.from_dict(
        {
            "prompt_ids": [list(pair.prompt) for pair in pairs],
            "chosen_ids": [list(pair.chosen) for pair in pairs],
            "rejected_ids": [list(pair.rejected) for pair in pairs],
        }
    )
    settings = DPOConfig(
        **_settings(course, len(data)),
        beta=method.beta,
        max_length=method.max_length,
        disable_dropout=not method.dropout,
    )
    with _quiet():
        trainer = _Dpo(
            model=model,
            args=settings,
            train_dataset=data,
            processing_class=tokens.tokenizer,
            peft_config=adapter,
            callbacks=course.callbacks,
        )
        return _run(trainer, course, [pair.length for pair in pairs], per_row=2)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and no warnings that PEFT and TRL use Transformers' old names."""
    transformers_logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*gradient_checkpointing.* is deprecated", FutureWarning)
        yield


def _run(trainer: Any, course: Course, lengths: Sequence[int], *, per_row: int = 1) -> Model:
    """Train; `lengths` are the tokens of the longest of the `per_row` sequences of each row."""
    if course.method.group_by_length:
        trainer.lengths = lengths
    trained, longest = trainer.model, max(lengths)
    at_once = per_row * trainer.args.per_device_train_batch_size
    with ExitStack() as around:
        around.enter_context(threads_for(trained, longest * at_once))
        if not course.method.packing:
            around.enter_context(attention_for(trained, at_once, longest))
        train(trainer, course.work)
    trained.eval()
    return trained


def _labels(lesson: Lesson) -> list[int]:
    return [_IGNORED] * lesson.num_given + list(lesson.ids[lesson.num_given :])


def _packed(data: Dataset, max_length: int) -> Dataset:
    """Several sequences in one, best fit first; they do not see each other."""
    shown = datasets_logging.is_progress_bar_enabled()
    datasets_logging.disable_progress_bar()
    try:
        return pack_dataset(data, max_length, "bfd")
    finally:
        if shown:
            datasets_logging.enable_progress_bar()


def _settings(course: Course, num_rows: int) -> dict[str, Any]:
    """Training arguments.

    Packs go through the model one at a time and their gradients are summed: side by side they would
    be one long sequence, and attention costs the square of its length.
    """
    method = course.method
    at_once = 1 if method.packing else method.batch_size
    summed = method.gradient_accumulation * (method.batch_size // at_once)
    an_epoch = max(1, math.ceil(math.ceil(num_rows / at_once) / summed))
    steps = math.ceil(method.epochs * an_epoch)
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(course.checkpoints),
        "num_train_epochs": method.epochs,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": summed,
        "activation_checkpointing": method.gradient_checkpointing,
        "learning_rate": method.learning_rate,
        "weight_decay": method.weight_decay,
        "max_grad_norm": method.max_grad_norm,
        "adam_beta2": _PRETRAIN_BETA2 if isinstance(method, PretrainMethod) else 0.999,
        "lr_scheduler_type": "cosine",
        "warmup_steps": round(method.warmup * steps),
        "bf16": course.half,
        "use_cpu": not on_gpu,
        "seed": course.seed,
        "data_seed": course.seed,
        "save_strategy": "steps",
        "save_steps": math.ceil(steps / _CHECKPOINTS),
        "logging_steps": max(1, steps // 100),
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu,
        "log_level": "error",
    }
