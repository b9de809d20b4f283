"""What a recipe may say about a vision layer: its method and its task. Light.

Only what composes on a site can be asked for: LoRA on linear and convolution weights with a linear
head, or a base from scratch. Each field is declared once; `check` turns what does not fit into
problems that lead to the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dizuo.artifacts.model import Level
from dizuo.families.base import Problem, RecipeSchema

MAX_RANK = 64
MAX_LABELS = 10_000
Label = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ImageSize(_Part):
    """What the network sees: pictures are resized to `height` x `width` with 1 or 3 channels."""

    height: Annotated[int, Field(ge=8, le=1024)]
    width: Annotated[int, Field(ge=8, le=1024)]
    channels: Literal[1, 3] = 3


class ResNetArchitecture(_Part):
    """A Hugging Face ResNet, by the names of its own configuration."""

    type: Literal["resnet"]
    embedding_size: Annotated[int, Field(ge=4, le=1024)] = 32
    hidden_sizes: Annotated[
        list[Annotated[int, Field(ge=4, le=4096)]], Field(min_length=1, max_length=6)
    ] = [32, 64, 128]
    depths: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1)] = [1, 1, 1]
    layer_type: Literal["basic", "bottleneck"] = "basic"
    downsample_in_first_stage: bool = False
    image: ImageSize

    @model_validator(mode="after")
    def _one_depth_per_stage(self) -> ResNetArchitecture:
        if len(self.depths) != len(self.hidden_sizes):
            raise ValueError("depths and hidden_sizes must be equally long")
        return self


class Schedule(_Part):
    """How long and how fast to learn, for both methods.

    The learning rate rises over the first tenth of the steps and falls along a cosine to zero.
    `augment` distorts each training picture by a random affine map of about this share of its size.
    """

    epochs: Annotated[int, Field(ge=1, le=1000)]
    learning_rate: Annotated[float, Field(gt=0, le=1, strict=False)]
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    weight_decay: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.01
    augment: Annotated[float, Field(ge=0, le=0.5, strict=False)] = 0.0


class PretrainMethod(Schedule):
    """A base from scratch. Batch norm, which moves here, needs two rows a batch at least."""

    kind: Literal["pretrain"]
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 64
    architecture: ResNetArchitecture


class LoraMethod(Schedule):
    """One fresh adapter and a linear head on the parent, merged; batch norm stays frozen.

    `alpha` is twice the rank unless given.
    """

    kind: Literal["lora"]
    rank: Annotated[int, Field(ge=1, le=MAX_RANK)]
    alpha: Annotated[float, Field(gt=0, le=1024, strict=False)] | None = None

    @property
    def scaling(self) -> float:
        """The factor on B·A: alpha / rank (Hu et al. 2021, LoRA, section 4.1)."""
        return (2 * self.rank if self.alpha is None else self.alpha) / self.rank


class ClassifyTask(_Part):
    """One label per picture. Without `labels` they come from the rows, or from the parent."""

    kind: Literal["classify"]
    labels: Annotated[list[Label], Field(min_length=2, max_length=MAX_LABELS)] | None = None

    @model_validator(mode="after")
    def _labels_differ(self) -> ClassifyTask:
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is there twice")
        return self


Method = PretrainMethod | LoraMethod
_METHODS: Mapping[str, type[PretrainMethod] | type[LoraMethod]] = {
    "pretrain": PretrainMethod,
    "lora": LoraMethod,
}
_TASKS: Mapping[str, type[ClassifyTask]] = {"classify": ClassifyTask}
_CANNOT_SHIP = {
    "modules_to_save": "Full copies of modules do not compose with other layers.",
    "use_dora": "DoRA scales whole weights and does not compose with other layers.",
    "batch_norm": "Moving batch-norm statistics are lost when the layer is reloaded.",
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


def parse_task(task: Mapping[str, Any]) -> ClassifyTask:
    """The task of a recipe that `check` accepted; `parse_method`'s twin."""
    return ClassifyTask.model_validate(dict(task))


def schema(level: Level) -> RecipeSchema:
    """What a recipe of this level may say under `method` and `task`."""
    methods = {
        kind: model.model_json_schema()
        for kind, model in _METHODS.items()
        if (kind == "pretrain") == (level is Level.L0)
    }
    tasks = {kind: model.model_json_schema() for kind, model in _TASKS.items()}
    return RecipeSchema(methods, tasks)


def check(level: Level, method: Mapping[str, Any], task: Mapping[str, Any]) -> list[Problem]:
    """Every problem of a recipe's method and task."""
    return [*_method_problems(level, method), *_validation_problems("task", ClassifyTask, task)]


def _method_problems(level: Level, method: Mapping[str, Any]) -> list[Problem]:
    kind = method.get("kind")
    if not isinstance(kind, str) or kind not in _METHODS:
        reason = _CANNOT_SHIP_KINDS.get(str(kind), "The vision family does not have this method.")
        return [Problem(("method", "kind"), reason, "Use kind: lora, or kind: pretrain for L0.")]
    if (kind == "pretrain") != (level is Level.L0):
        return [
            Problem(
                ("method", "kind"),
                f"The method {kind} cannot make a layer of level {level}.",
                "A base (L0) is made by pretrain, L1 and L2 by lora.",
            )
        ]
    unshippable = [
        Problem(("method", key), reason, f"Remove {key}.")
        for key, reason in _CANNOT_SHIP.items()
        if key in method
    ]
    known = {key: value for key, value in method.items() if key not in _CANNOT_SHIP}
    return unshippable + _validation_problems("method", _METHODS[kind], known)


def _validation_problems(
    part: str, model: type[BaseModel], values: Mapping[str, Any]
) -> list[Problem]:
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        return [_problem(part, details) for details in error.errors(include_url=False)]
    return []


def _problem(part: str, details: Any) -> Problem:
    path: tuple[str | int, ...] = (part, *details["loc"])
    name = ".".join(str(step) for step in path)
    match details["type"]:
        case "extra_forbidden":
            return Problem(path, f"The key {name} is not known.", "Remove it, or correct its name.")
        case "missing":
            return Problem(path, f"The key {name} is missing.", "Add it.")
        case _:
            reason = str(details["msg"]).removeprefix("Value error, ")
            return Problem(path, f"{name} is wrong: {reason[:1].lower()}{reason[1:]}.")
