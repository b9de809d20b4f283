"""Recipes: reading one whole, with every problem in it and its line.

What can be checked without a database is checked here: form, types, ranges, what the family
refuses, what gates can refer to. `dizuo.stacks.resolve` checks the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from dizuo.artifacts.model import Level
from dizuo.artifacts.reference import (
    DEFAULT_PROJECT,
    InvalidReference,
    Reference,
    parse_reference,
)
from dizuo.families import registry
from dizuo.families.base import Problem, Scorer, Spec
from dizuo.gates.fields import Fields, Path, describe, did_you_mean
from dizuo.gates.rules import TRAINED_TARGET, Offer, Rule, parse_gates
from dizuo.stacks.errors import RecipeProblem, RecipeRefused
from dizuo.stacks.yaml_lines import Fault, MarkedDocument, YamlRefused, read_marked

KEYS = (
    "name",
    "level",
    "family",
    "from",
    "data",
    "method",
    "task",
    "gates",
    "targets",
    "seed",
    "description",
)
SCRATCH = "scratch"
DEFAULT_SEED = 0
MAX_SEED = 2**32 - 1
"""The largest that NumPy's generators, and so Transformers, are seeded with."""


DEFAULT_SOURCE_NAME = "recipe"
SourceName = Annotated[str, Field(min_length=1, max_length=255)]
"""What people call a recipe, as it comes over HTTP; as long as a file's name may be."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Rows of another dataset that keep what the parent knew: `share` of those trained on."""

    dataset: str
    share: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe without problems of its own.

    `parent` is None for `from: scratch`. `method` and `task` are as the family accepted them.
    `document` knows the line of everything, for problems that only a database shows.
    """

    name: str
    level: Level
    family: str
    parent: Reference | None
    train: str
    replay: Replay | None
    method: Mapping[str, Any]
    task: Mapping[str, Any]
    gates: tuple[Rule, ...]
    targets: tuple[str, ...]
    seed: int
    description: str
    text: str
    source_name: str
    document: MarkedDocument = field(repr=False, compare=False)

    def refused(self, problems: Iterable[Problem]) -> RecipeRefused:
        """The error that says what is wrong with this recipe, each problem with its line."""
        return _refused(self.source_name, self.document, problems)


def parse_recipe(
    text: str | bytes,
    source_name: str = DEFAULT_SOURCE_NAME,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> Recipe:
    """Read a recipe.

    Args:
        text: YAML; bytes must be UTF-8.
        source_name: what people call it, such as its file name.
        project_id: where it is to run: its parent is a stack of that project.

    Raises:
        RecipeRefused: with every problem found and its line.
    """
    decoded = _decode(text, source_name)
    try:
        document = read_marked(decoded)
    except YamlRefused as error:
        raise RecipeRefused(source_name, (_located(error.fault),)) from error
    problems: list[Problem] = []
    parsed = _parse(document, problems, decoded, source_name, project_id)
    if problems or document.faults or parsed is None:
        raise _refused(source_name, document, problems)
    return parsed


def _decode(text: str | bytes, source_name: str) -> str:
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        decoded.encode()
    except UnicodeError as error:
        problem = RecipeProblem(1, 1, (), "The text is not UTF-8.", "Save the file as UTF-8.")
        raise RecipeRefused(source_name, (problem,)) from error
    return decoded


def _located(fault: Fault) -> RecipeProblem:
    place = fault.place
    return RecipeProblem(place.line, place.column, fault.path, fault.message, fault.next_step)


def _refused(
    source_name: str, document: MarkedDocument, problems: Iterable[Problem]
) -> RecipeRefused:
    located = [_located(fault) for fault in document.faults]
    unreadable = {fault.path for fault in document.faults if fault.path}
    for problem in problems:
        if problem.path in unreadable:
            continue  # it could not be read; that it is also missing is no news
        place = document.place(problem.path)
        located.append(
            RecipeProblem(
                place.line, place.column, problem.path, problem.message, problem.next_step
            )
        )
    return RecipeRefused(source_name, tuple(located))


@dataclass(frozen=True, slots=True)
class _Family:
    """The family's light half, where the family is known."""

    spec: Spec | None = None
    scorer: Scorer | None = None


def _parse(
    document: MarkedDocument,
    problems: list[Problem],
    text: str,
    source_name: str,
    project_id: str,
) -> Recipe | None:
    fields = Fields(document.value, (), problems, thing="a recipe", known=KEYS)
    if not fields.is_mapping:
        return None
    name = fields.name("name")
    level = fields.choice("level", tuple(level.value for level in Level))
    family_name = fields.choice("family", tuple(sorted(registry.family_packages())))
    family = _find_family(family_name)
    parent = _parent(fields, level, project_id)
    train, replay = _data(fields, problems)
    method, task = _mapping(fields, "method"), _mapping(fields, "task", required=False)
    targets = _targets(fields, family.spec)
    gates = _gates(fields, problems, family, targets, level)
    if family.spec is not None and level is not None:
        replays = replay is not None
        problems.extend(family.spec.check_recipe(Level(level), method, task, replays=replays))
    seed = fields.integer("seed", least=0, most=MAX_SEED, default=DEFAULT_SEED)
    description = fields.text("description", required=False) or ""
    if problems or name is None or level is None or family_name is None or train is None:
        return None
    return Recipe(
        name=name,
        level=Level(level),
        family=family_name,
        parent=parent,
        train=train,
        replay=replay,
        method=method,
        task=task,
        gates=gates,
        targets=targets,
        seed=seed,
        description=description,
        text=text,
        source_name=source_name,
        document=document,
    )


def _find_family(name: str | None) -> _Family:
    if name is None:
        return _Family()
    return _Family(registry.spec(name), registry.scorer(name))


def _parent(fields: Fields, level: str | None, project_id: str) -> Reference | None:
    text = fields.text("from")
    if text is None:
        return None
    parent = None if text == SCRATCH else _reference(fields, text, project_id)
    if text == SCRATCH and level not in (None, Level.L0):
        message = f"An {level} recipe is built on a stack, not from scratch."
        fields.refuse("from", message, "Write from: name:version, or level: L0.")
    if text != SCRATCH and level == Level.L0:
        message = "An L0 recipe starts from scratch."
        fields.refuse("from", message, "Write from: scratch, or level: L1.")
    return parent


def _reference(fields: Fields, text: str, project_id: str) -> Reference | None:
    try:
        parent = parse_reference(text, project_id)
    except InvalidReference as error:
        fields.refuse("from", error.message, error.next_step)
        return None
    if parent.version is None and parent.digest is None:
        step = f"Pin one, such as {parent.name}:1."
        fields.refuse("from", f"{text!r} does not say which version.", step)
    return parent


def _data(fields: Fields, problems: list[Problem]) -> tuple[str | None, Replay | None]:
    value = fields.value("data")
    if "data" not in fields:
        return None, None
    data = Fields(value, ("data",), problems, thing="data", known=("train", "replay"))
    train = data.pin("train")
    if "replay" not in data:
        return train, None
    path = ("data", "replay")
    replay = Fields(
        data.value("replay"), path, problems, thing="replay", known=("dataset", "share")
    )
    dataset, share = replay.pin("dataset"), replay.number("share", low=0, high=1, open_ends=True)
    if dataset is None or share is None:
        return train, None
    return train, Replay(dataset, share)


def _mapping(fields: Fields, key: str, *, required: bool = True) -> Mapping[str, Any]:
    value = fields.value(key, required=required)
    if key in fields and not isinstance(value, Mapping):
        fields.refuse(key, f"{key!r} must be a mapping, not {describe(value)}.")
    return value if isinstance(value, Mapping) else {}


def _targets(fields: Fields, spec: Spec | None) -> tuple[str, ...]:
    value = fields.value("targets")
    if "targets" not in fields:
        return ()
    if not isinstance(value, list) or not value:
        fields.refuse("targets", f"'targets' must be a list of names, not {describe(value)}.")
        return ()
    good = [target for target in value if isinstance(target, str)]
    for index, target in enumerate(value):
        _check_target(fields, ("targets", index), target, value[:index], spec)
    if TRAINED_TARGET not in good:
        message = f"'targets' must hold {TRAINED_TARGET}, the form that children are trained on."
        fields.refuse("targets", message, f"Add {TRAINED_TARGET}.")
    return tuple(good)


def _check_target(
    fields: Fields, path: Path, target: Any, before: list[Any], spec: Spec | None
) -> None:
    if not isinstance(target, str):
        fields.refuse_at(path, f"A target must be a text, not {describe(target)}.")
    elif target in before:
        fields.refuse_at(path, f"The target {target!r} is given twice.")
    elif spec is not None and target not in spec.TARGETS:
        message = f"The family {spec.NAME} has no target {target[:60]!r}."
        fields.refuse_at(path, message, did_you_mean(target, spec.TARGETS))


def _gates(
    fields: Fields,
    problems: list[Problem],
    family: _Family,
    targets: tuple[str, ...],
    level: str | None,
) -> tuple[Rule, ...]:
    is_base = level == Level.L0
    value = fields.value("gates", required=not is_base and level is not None)
    if "gates" not in fields:
        return ()
    metrics = None if family.scorer is None else family.scorer.METRICS
    offer = Offer(metrics=metrics, targets=targets or None, has_parent=not is_base)
    rules, found = parse_gates(value, offer)
    problems.extend(found)
    if not is_base and value == []:
        message = "'gates' is empty: what is not measured cannot be released."
        fields.refuse("gates", message, "Add at least one gate.")
    if rules and targets and set(targets) == {TRAINED_TARGET}:
        message = "There are gates, but no target that ships to measure them on."
        fields.refuse("targets", message, "Add a target that an engine runs.")
    return rules
