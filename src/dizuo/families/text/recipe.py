"""What a recipe may say about a text layer: its method and its task. Light.

Only what composes on a site can be asked for: LoRA on linear weights, by supervised examples or by
preferences, or a base from scratch. Each field is declared once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dizuo.artifacts.model import Level
from dizuo.core.errors import InvalidInput
from dizuo.families.base import Problem, RecipeSchema
from dizuo.families.text.schema import schema_fault
from dizuo.families.text.slots import SLOT_TOKENS
from dizuo.families.validation import RecipePart, problems_of

MAX_RANK = 256
MAX_TOKENS = 256
"""Of an answer, where a recipe does not say."""
Share = Annotated[float, Field(ge=0, lt=1, strict=False)]
ContextTokens = Annotated[int, Field(ge=16, le=262_144)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Qwen3Architecture(RecipePart):
    """A Hugging Face Qwen3, by the names of its own configuration; embeddings are tied."""

    type: Literal["qwen3"]
    hidden_size: Annotated[int, Field(ge=32, le=16384, multiple_of=32)] = 256
    intermediate_size: Annotated[int, Field(ge=32, le=65536, multiple_of=32)] = 512
    num_hidden_layers: Annotated[int, Field(ge=1, le=128)] = 4
    num_attention_heads: Annotated[int, Field(ge=1, le=128)] = 4
    num_key_value_heads: Annotated[int, Field(ge=1, le=128)] = 2
    head_dim: Annotated[int, Field(ge=16, le=256, multiple_of=2)] = 64
    max_position_embeddings: Annotated[int, Field(ge=64, le=262_144)] = 512
    vocab_size: Annotated[int, Field(ge=300, le=200_000)] = 2048

    @model_validator(mode="after")
    def _heads_share_keys(self) -> Qwen3Architecture:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        return self


class Schedule(RecipePart):
    """How long and how fast to learn, for every method.

    The learning rate rises over `warmup` of the steps and falls along a cosine to zero. Of
    `max_length` tokens, plain texts are cut there and longer rows with an answer are left out;
    `packing` puts several into one, `group_by_length` puts rows of about the same length into one
    batch, so that less of it is padding. One optimiser step learns from `batch_size` times
    `gradient_accumulation` rows.
    """

    epochs: Annotated[float, Field(gt=0, le=1000, strict=False)]
    learning_rate: Annotated[float, Field(gt=0, le=1, strict=False)]
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16
    gradient_accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    gradient_checkpointing: bool = False
    max_length: Annotated[int, Field(ge=16, le=262_144)] = 512
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0, le=100, strict=False)] = 1.0
    packing: bool = False
    group_by_length: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class PretrainMethod(Schedule):
    """A base from scratch, with a tokenizer of its own, learned from the same rows."""

    kind: Literal["pretrain"]
    architecture: Qwen3Architecture


class AdapterMethod(Schedule):
    """One fresh adapter on the parent, merged in memory. `alpha` is twice the rank unless given."""

    rank: Annotated[int, Field(ge=1, le=MAX_RANK)]
    alpha: Annotated[float, Field(gt=0, le=1024, strict=False)] | None = None
    dropout: Share = 0.0
    adapter_dtype: Literal["f16", "q8_0"] = "f16"

    @property
    def scaling(self) -> float:
        """The factor on B·A: alpha / rank (Hu et al. 2021, LoRA, section 4.1)."""
        return (2 * self.rank if self.alpha is None else self.alpha) / self.rank


class LoraMethod(AdapterMethod):
    """Learns from examples: the loss is on the answers only."""

    kind: Literal["lora"]


class DpoMethod(AdapterMethod):
    """Learns from pairs of a label and a rejected answer (Rafailov et al. 2023, *Direct Preference
    Optimization*, equation 7); `beta` is theirs. Rows without a rejected answer, such as confirmed
    samples, are not learned from."""

    kind: Literal["dpo"]
    beta: Annotated[float, Field(gt=0, le=10, strict=False)] = 0.1


class TextTask(RecipePart):
    """A prompt is answered. `system` is put before prompts that bring no system message.

    An engine makes room for `context_tokens` of prompt and answer together, four times over (see
    `slots.window`), or for what the model was trained to read if that is less and nothing is said.
    """

    system: Annotated[str, Field(max_length=20_000)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] = MAX_TOKENS
    context_tokens: ContextTokens = SLOT_TOKENS


class ImportTask(RecipePart):
    """What can be said of how an imported base answers; the rest is as `TextTask` has it."""

    context_tokens: ContextTokens = SLOT_TOKENS


class AnswerTask(TextTask):
    """A text answers a prompt."""

    kind: Literal["answer"]


class ExtractTask(TextTask):
    """A JSON object answers a prompt, held to a JSON schema at the engine."""

    kind: Literal["extract"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]

    @model_validator(mode="after")
    def _schema_holds(self) -> ExtractTask:
        fault = schema_fault(self.schema_)
        if fault:
            raise ValueError(fault)
        return self


Method = PretrainMethod | LoraMethod | DpoMethod
Task = AnswerTask | ExtractTask
_METHODS: Mapping[str, type[Method]] = {
    "pretrain": PretrainMethod,
    "lora": LoraMethod,
    "dpo": DpoMethod,
}
_TASKS: Mapping[str, type[Task]] = {"answer": AnswerTask, "extract": ExtractTask}
_CANNOT_SHIP = {
    "modules_to_save": "Full copies of modules do not compose with other layers.",
    "use_dora": "DoRA scales whole weights and does not compose with other layers.",
    "resize_vocabulary": "A resized vocabulary does not fit the base on the sites.",
    "target_modules": "Layers change all linear weights of the blocks, so that they compose.",
}
_CANNOT_SHIP_KINDS = {
    "dora": _CANNOT_SHIP["use_dora"],
    "full": _CANNOT_SHIP["modules_to_save"],
}


def parse_method(method: Mapping[str, Any]) -> Method:
    """The method of a recipe that `check` accepted.

    Raises:
        pydantic.ValidationError: it would not have.
    """
    return _METHODS[method["kind"]].model_validate(dict(method))


def parse_task(task: Mapping[str, Any]) -> Task:
    """The task of a recipe that `check` accepted; without one, text answers."""
    return _TASKS[task.get("kind", "answer")].model_validate({"kind": "answer", **task})


def schema(level: Level) -> RecipeSchema:
    """What a recipe of this level may say under `method` and `task`."""
    methods = {
        kind: model.model_json_schema()
        for kind, model in _METHODS.items()
        if (kind == "pretrain") == (level is Level.L0)
    }
    tasks = {kind: model.model_json_schema() for kind, model in _TASKS.items()}
    return RecipeSchema(methods, tasks)


def check(
    level: Level, method: Mapping[str, Any], task: Mapping[str, Any], *, replays: bool = False
) -> list[Problem]:
    """Every problem of a recipe's method, its task, and the rows that it replays."""
    problems = [*_method_problems(level, method), *_task_problems(task)]
    return [*problems, *_replay_problems(method)] if replays else problems


def _replay_problems(method: Mapping[str, Any]) -> list[Problem]:
    if method.get("kind") != "dpo":
        return []
    message = "The method dpo cannot replay rows: they keep answers, and it learns from pairs."
    return [Problem(("data", "replay"), message, "Remove data.replay, or use kind: lora.")]


def _method_problems(level: Level, method: Mapping[str, Any]) -> list[Problem]:
    kind = method.get("kind")
    if not isinstance(kind, str) or kind not in _METHODS:
        reason = _CANNOT_SHIP_KINDS.get(str(kind), "The text family does not have this method.")
        step = "Use kind: lora or dpo, or kind: pretrain for L0."
        return [Problem(("method", "kind"), reason, step)]
    if (kind == "pretrain") != (level is Level.L0):
        return [
            Problem(
                ("method", "kind"),
                f"The method {kind} cannot make a layer of level {level}.",
                "A base (L0) is made by pretrain, L1 and L2 by lora or dpo.",
            )
        ]
    unshippable = [
        Problem(("method", key), reason, f"Remove {key}.")
        for key, reason in _CANNOT_SHIP.items()
        if key in method
    ]
    known = {key: value for key, value in method.items() if key not in _CANNOT_SHIP}
    return unshippable + problems_of("method", _METHODS[kind], known)


def _task_problems(task: Mapping[str, Any]) -> list[Problem]:
    kind = task.get("kind", "answer")
    if not isinstance(kind, str) or kind not in _TASKS:
        step = f"Use one of: {', '.join(_TASKS)}."
        return [Problem(("task", "kind"), "The text family does not have this task.", step)]
    if isinstance(task.get("schema"), str):
        message = "task.schema is a text; a recipe travels alone, so the schema stands in it."
        return [Problem(("task", "schema"), message, "Write the JSON schema as YAML below schema.")]
    asked = {"kind": "answer", **task}
    return problems_of("task", _TASKS[kind], asked) or _room_problems(asked)


def _room_problems(task: Mapping[str, Any]) -> list[Problem]:
    """That an answer alone may be as long as prompt and answer together."""
    longest = task.get("max_tokens", MAX_TOKENS)
    both = task.get("context_tokens", SLOT_TOKENS)
    if longest < both:
        return []
    key = "max_tokens" if "max_tokens" in task else "context_tokens"
    message = (
        f"An answer may have {longest} tokens (task.max_tokens), prompt and answer together no "
        f"more than {both} (task.context_tokens)."
    )
    return [Problem(("task", key), message, "Raise task.context_tokens, or lower task.max_tokens.")]


def check_import_task(task: Mapping[str, Any], context_length: int | None) -> None:
    """See that a base that reads so many tokens (None where nobody knows yet) can be imported so.

    Raises:
        InvalidInput: it cannot; says why.
    """
    if problems := problems_of("task", ImportTask, task):
        step = problems[0].next_step or "Give a whole number of tokens, or leave it out."
        raise InvalidInput(problems[0].message, next_step=step)
    if problems := _room_problems(task):
        raise InvalidInput(problems[0].message, next_step="Raise task.context_tokens.")
    wanted = task.get("context_tokens", 0)
    if context_length is not None and wanted > context_length:
        raise InvalidInput(
            f"task.context_tokens is {wanted}, but the model reads at most {context_length} "
            "tokens.",
            next_step="Lower task.context_tokens.",
        )
