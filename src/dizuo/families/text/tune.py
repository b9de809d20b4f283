"""Making a text layer: a base from scratch, or an adapter on a stack. Heavy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dizuo.artifacts.model import StackFiles
from dizuo.core.digests import canonical_json, sha256_file, sha256_json
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import TunedLayer, TuneJob
from dizuo.families.room import require_bytes
from dizuo.families.text import examination, footprint, memory, slots, spec
from dizuo.families.text.examination import Examination, Subject
from dizuo.families.text.gguf_architecture import Architecture, read_architecture
from dizuo.families.text.holding import Rule
from dizuo.families.text.layer import (
    ADAPTER_NAME,
    MANIFEST_NAME,
    Manifest,
    read_stack,
    write_manifest,
)
from dizuo.families.text.lessons import (
    Lesson,
    Lot,
    Pair,
    Reading,
    check_labels,
    check_lengths,
    check_rows,
    divide,
    texts_of,
)
from dizuo.families.text.making import (
    Below,
    answering_of,
    base_manifest,
    layer_files,
    write_adapter_layer,
    write_base_files,
    write_schema,
)
from dizuo.families.text.network import (
    adapter_of,
    lora_config,
    merged_model,
    new_model,
    qwen3_config,
    read_config,
)
from dizuo.families.text.recipe import (
    AdapterMethod,
    AnswerTask,
    DpoMethod,
    ExtractTask,
    Method,
    PretrainMethod,
    parse_method,
    parse_task,
)
from dizuo.families.text.teaching import Course, computes_in_half, teach, teach_preferences
from dizuo.families.text.tokenizer import CHAT_TEMPLATE, learn_tokenizer, tokenizer_config
from dizuo.families.text.tokens import Tokens, read_tokens, tokens_of

_MAX_BEYOND_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class _Work:
    """A job, read: its method, task and rows; whom to tell, and whether to stop."""

    job: TuneJob
    method: Method
    task: AnswerTask | ExtractTask
    lot: Lot
    report: Reporter
    cancelled: Callable[[], bool]

    def say(self, message: str) -> None:
        """Tell what is prepared now."""
        self.report(Progress("prepare", message=message))

    def course(self, below: Sequence[str]) -> Course:
        """How to teach, on top of the layers with these digests."""
        rows = hashlib.sha256()
        for row in self.job.rows:
            rows.update(canonical_json(dict(row)) + b"\n")
        half = computes_in_half(self.method.precision)
        work = {
            "code": spec.CODE_VERSION,
            "method": self.method.model_dump(),
            "task": dict(self.job.task),
            "seed": self.job.seed,
            "rows": rows.hexdigest(),
            "num_replayed": self.job.num_replayed,
            "below": list(below),
            "half": half,
        }
        return Course(
            method=self.method,
            seed=self.job.seed,
            work=sha256_json(work),
            checkpoints=self.job.checkpoints,
            half=half,
            report=self.report,
            cancelled=self.cancelled,
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a model is taught, what it is asked then, and figures that are known before."""

    lessons: list[Lesson]
    pairs: list[Pair]
    examination: Examination
    metrics: dict[str, float]


def tune(job: TuneJob, report: Reporter, cancelled: Callable[[], bool]) -> TunedLayer:
    """Train one layer; on a processor the same job with as many threads gives the same bytes,
    killed on the way or not.

    Raises:
        Cancelled: `cancelled()` became true.
        InvalidInput: the rows cannot be trained on, or there is too little memory.
        LayerRefused: the parent's layers do not fit each other.
    """
    report(Progress("prepare", message="reading the rows and the parent"))
    method, task = parse_method(job.method), parse_task(job.task)
    check_rows(job.rows, method.kind, num_replayed=job.num_replayed)
    check_labels(job.rows[: len(job.rows) - job.num_replayed], task)
    lot = divide(job.rows, job.seed, method.kind, num_replayed=job.num_replayed)
    work = _Work(job, method, task, lot, report, cancelled)
    if isinstance(method, PretrainMethod):
        return _pretrain(work, method)
    if job.parent is None:
        raise InvalidInput("An adapter needs a parent.", next_step="Name it in `from`.")
    return _adapt(work, method, job.parent)


def _pretrain(work: _Work, method: PretrainMethod) -> TunedLayer:
    job, context = work.job, method.architecture.max_position_embeddings
    work.say("learning a tokenizer")
    texts = texts_of(work.lot.learned, work.task)
    tokenizer = learn_tokenizer(texts, method.architecture.vocab_size)
    tokens = tokens_of(tokenizer, CHAT_TEMPLATE, tokenizer_config(context))
    config = qwen3_config(method.architecture, eos=tokens.end_of_turn, pad=tokens.end_of_text)
    architecture = read_architecture(config)
    plan = _plan(work, tokens, architecture)
    torch.manual_seed(job.seed)
    model = new_model(config)
    model = teach(model, tokens, plan.lessons, work.course(()))
    schema = write_schema(work.task, job.output)
    write_base_files(model, config, tokenizer, tokens, job.output)
    del model
    manifest = base_manifest(architecture, answering_of(work.task), job.output, schema)
    return _finish(work, plan, Subject(job.output, manifest, (), tokens), manifest)


def _adapt(work: _Work, method: AdapterMethod, parent: StackFiles) -> TunedLayer:
    job, manifests = work.job, read_stack(parent)
    folder, base = parent.base.directory, manifests[0]
    tokens = read_tokens(folder)
    plan = _plan(work, tokens, read_config(folder)[1])
    work.say("merging the parent")
    model, _ = merged_model(parent)
    digests = tuple(sha256_file(layer.directory / MANIFEST_NAME) for layer in parent.layers)
    config = lora_config(method, base.modules)
    if isinstance(method, DpoMethod):
        model = teach_preferences(model, tokens, plan.pairs, work.course(digests), adapter=config)
    else:
        model = teach(model, tokens, plan.lessons, work.course(digests), adapter=config)
    adapter = adapter_of(model, base.modules, method.scaling)
    del model
    manifest = write_adapter_layer(
        adapter,
        Below(base, digests),
        answering_of(work.task),
        job.output,
        schema=write_schema(work.task, job.output),
        adapter_dtype=method.adapter_dtype,
    )
    folders = [layer.directory for layer in parent.layers[1:]]
    adapters = [
        (directory / ADAPTER_NAME, one)
        for directory, one in zip((*folders, job.output), (*manifests[1:], manifest), strict=True)
    ]
    return _finish(work, plan, Subject(folder, base, adapters, tokens), manifest)


def _plan(work: _Work, tokens: Tokens, architecture: Architecture) -> _Plan:
    """What will be taught and asked.

    Raises:
        InvalidInput: rows are too long, there is too little memory, or the task's schema cannot be
            enforced.
    """
    method, learned = work.method, work.lot.learned
    if isinstance(work.task, ExtractTask):
        Rule(tokens, work.task.schema_)
    _check_context(method, work.task, architecture.context_length)
    work.say("reading the rows as tokens")
    reading = Reading(tokens, work.task, method.max_length)
    lessons: list[Lesson] = []
    pairs: list[Pair] = []
    if isinstance(method, DpoMethod):
        pairs, num_too_long = reading.pairs(learned)
    else:
        lessons, num_too_long = reading.lessons(learned)
    check_lengths(num_too_long, len(learned), method.max_length)
    window = slots.window(work.task.context_tokens, architecture.context_length)
    _check_window(work.lot, lessons, pairs, window)
    if work.job.gated:
        _check_engine(architecture, window)
    lengths = [len(lesson.ids) for lesson in lessons] + [pair.length for pair in pairs]
    needed = _check_memory(method, architecture, max(lengths))
    return _Plan(
        lessons,
        pairs,
        examination.plan(work.lot, reading, window),
        {
            "num_trained": float(len(learned) - num_too_long),
            "num_held_out": float(len(work.lot.held_out)),
            "num_left_out": float(len(work.job.rows) - len(learned) - len(work.lot.held_out)),
            "num_too_long": float(num_too_long),
            "estimated_bytes": float(needed.total),
        },
    )


def _check_context(method: Method, task: AnswerTask | ExtractTask, context_length: int) -> None:
    """Refuse to teach, or to promise, more tokens than the base reads.

    Raises:
        InvalidInput: that is asked for; a `task.context_tokens` that is left out is not.
    """
    asked = {"method.max_length": method.max_length}
    if "context_tokens" in task.model_fields_set:
        asked["task.context_tokens"] = task.context_tokens
    for key, num_tokens in asked.items():
        if num_tokens > context_length:
            raise InvalidInput(
                f"{key} is {num_tokens}, but the base reads at most {context_length} tokens.",
                next_step=f"Lower {key}.",
            )


def _check_window(lot: Lot, lessons: Sequence[Lesson], pairs: Sequence[Pair], window: int) -> None:
    """Refuse to teach answers that engines have no room for in their `window`, in tokens.

    Raises:
        InvalidInput: more than a tenth of what is taught is longer.
    """
    lengths = [len(lesson.ids) for lesson in lessons] + [pair.length for pair in pairs]
    num_beyond = sum(length > window for length in lengths)
    if lot.answered and num_beyond > _MAX_BEYOND_SHARE * len(lengths):
        raise InvalidInput(
            f"{num_beyond} of {len(lengths)} rows are longer than the {window:,} tokens that "
            "engines read at once, prompt and answer together.",
            next_step="Raise task.context_tokens, shorten the rows, or lower method.max_length.",
        )


def _check_engine(architecture: Architecture, window: int) -> None:
    """Refuse to make a layer that no engine can be opened on here.

    Raises:
        InvalidInput: there is too little memory for its engine, even without the files.
    """
    one = architecture
    cached = 2 * one.num_layers * one.num_key_value_heads * one.head_size
    needed = footprint.bytes_beside_files(cached, one.hidden_size, one.vocab_size, window)
    require_bytes(needed, next_step=footprint.SMALLER)


def _check_memory(method: Method, architecture: Architecture, longest: int) -> memory.Estimate:
    rank = method.rank if isinstance(method, AdapterMethod) else 0
    sequences = 1 if method.packing else method.batch_size
    needed = memory.estimate(
        memory.Workload(
            architecture=architecture,
            num_learning=(
                memory.num_adapter_parameters(architecture, rank)
                if rank
                else architecture.num_parameters
            ),
            rank=rank,
            num_sequences=2 * sequences if isinstance(method, DpoMethod) else sequences,
            length=method.max_length if method.packing else longest,
            checkpointing=method.gradient_checkpointing,
            half=computes_in_half(method.precision),
            packed=method.packing,
        )
    )
    memory.require(needed, memory.free_bytes(), checkpointing=method.gradient_checkpointing)
    return needed


def _finish(work: _Work, plan: _Plan, subject: Subject, manifest: Manifest) -> TunedLayer:
    """Examine what was written, and write the manifest last."""
    output = work.job.output
    scores = examination.examine(plan.examination, subject, output, work.report, work.cancelled)
    write_manifest(output, manifest)
    return TunedLayer(layer_files(output), {**plan.metrics, **scores})
