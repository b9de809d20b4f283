"""Finding everything that a recipe names, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from dizuo.artifacts.model import Level
from dizuo.core.digests import sha256_json
from dizuo.core.errors import DizuoError
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets import service as datasets
from dizuo.datasets.model import DatasetPin, Overlap
from dizuo.datasets.names import parse_ref
from dizuo.families import registry
from dizuo.families.base import Problem
from dizuo.gates.fields import Path
from dizuo.gates.job import SUITE_RULES
from dizuo.gates.rules import TRAINED_TARGET
from dizuo.stacks import store
from dizuo.stacks.model import ResolvedRecipe, StackVersion
from dizuo.stacks.recipe import Recipe

_INPUTS_FORMAT = 1
"""Raised when the meaning of a recipe changes, so that nothing built before is found again."""
_OVERLAPS_KEPT = 256


def resolve(
    session: Session, recipe: Recipe, *, project_id: str = DEFAULT_PROJECT
) -> ResolvedRecipe:
    """Find the parent, pin the datasets, and see that no suite is among what is trained on.

    Reads the datasets, which takes seconds for large ones; needs no writing transaction.

    Raises:
        RecipeRefused: with every problem found and its line.
    """
    found = _Found(session, recipe, project_id)
    parent = _find_parent(found)
    _check_name(found)
    train = _find_dataset(found, ("data", "train"), recipe.train)
    replay = None
    if recipe.replay is not None:
        replay = _find_dataset(found, ("data", "replay", "dataset"), recipe.replay.dataset)
    suites = _find_suites(found)
    learned = [pin for pin in (train, replay) if pin is not None]
    _check_overlaps(found, learned, suites)
    if found.problems or train is None:
        raise recipe.refused(found.problems)
    return ResolvedRecipe(
        recipe=recipe,
        project_id=project_id,
        parent=parent,
        train=train,
        replay=replay,
        suites=suites,
        input_digest=input_digest(recipe, project_id, parent, train, replay),
    )


def input_digest(
    recipe: Recipe,
    project_id: str,
    parent: StackVersion | None,
    train: DatasetPin,
    replay: DatasetPin | None,
) -> str:
    """The digest of everything that determines the built stack.

    Comments, order and description do not. The version of the family's code does, and so do name
    and project, which the manifests carry. Gates change no byte, but a stack is released by the
    gates of the recipe it was built by: a recipe that became stricter must not find a stack that
    was only ever held to the old rules.
    """
    inputs: dict[str, Any] = {
        "format": _INPUTS_FORMAT,
        "code": registry.spec(recipe.family).CODE_VERSION,
        "project": project_id,
        "name": recipe.name,
        "level": recipe.level.value,
        "family": recipe.family,
        "parent": parent.digest if parent else None,
        "train": train.digest,
        "replay": None,
        "method": recipe.method,
        "task": recipe.task,
        "gates": [rule.as_dict() for rule in recipe.gates],
        "targets": list(recipe.targets),
        "seed": recipe.seed,
    }
    if replay is not None and recipe.replay is not None:
        inputs["replay"] = {"digest": replay.digest, "share": recipe.replay.share}
    return sha256_json(inputs)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is looked at, and what is wrong so far."""

    session: Session
    recipe: Recipe
    project_id: str
    problems: list[Problem] = field(default_factory=list)

    def say(self, path: Path, message: str, next_step: str = "") -> None:
        """Add a problem."""
        self.problems.append(Problem(path, message, next_step))


def _find_parent(found: _Found) -> StackVersion | None:
    reference = found.recipe.parent
    if reference is None:
        return None
    own = reference.project == found.project_id
    parent = store.find(found.session, reference) if own else None
    if parent is None:
        step = "See `dizuo model ls` for the stacks there are; build or import this one first."
        found.say(("from",), f"There is no stack {reference}.", step)
        return None
    _check_parent(found, parent)
    return parent


def _check_parent(found: _Found, parent: StackVersion) -> None:
    recipe = found.recipe
    if parent.family != recipe.family:
        message = f"{parent.ref} is of the family {parent.family}, not {recipe.family}."
        found.say(("from",), message, "Build on a stack of the same family.")
    if parent.level.value >= recipe.level.value:
        message = f"An {recipe.level} stack cannot stand on {parent.ref}, which is {parent.level}."
        found.say(("from",), message, _below(recipe.level))
    if TRAINED_TARGET not in parent.targets:
        message = f"{parent.ref} has no target {TRAINED_TARGET}, which children are trained on."
        step = f"Build or import it with that target; it has: {', '.join(parent.targets)}."
        found.say(("from",), message, step)
        return
    for index, target in enumerate(recipe.targets):
        if target not in parent.targets and target != TRAINED_TARGET:
            step = f"It has: {', '.join(parent.targets)}."
            found.say(("targets", index), f"{parent.ref} has no target {target}.", step)


def _below(level: Level) -> str:
    return "Build it on an L0 stack." if level is Level.L1 else "Build it on an L1 or L0 stack."


def _check_name(found: _Found) -> None:
    """A name keeps its level and family, or what sites and children expect of it would change."""
    recipe = found.recipe
    known = store.newest(found.session, found.project_id, recipe.name)
    if known is None:
        return
    step = "Choose another name."
    if known.level is not recipe.level:
        found.say(("level",), f"{known.ref} is {known.level}; a name keeps its level.", step)
    if known.family != recipe.family:
        message = f"{known.ref} is of the family {known.family}; a name keeps its family."
        found.say(("family",), message, step)


def _find_dataset(found: _Found, path: Path, text: str) -> DatasetPin | None:
    try:
        ref = parse_ref(text, project=found.project_id)
        version = datasets.find(found.session, ref)
    except DizuoError as error:
        found.say(path, error.message, error.next_step)
        return None
    if version.family != found.recipe.family:
        message = f"The dataset {text} is of the family {version.family}."
        found.say(path, message, f"Use one of the family {found.recipe.family}.")
        return None
    return version.pin


def _find_suites(found: _Found) -> dict[str, DatasetPin]:
    suites: dict[str, DatasetPin] = {}
    for text, path in _suite_places(found.recipe).items():
        pin = _find_dataset(found, path, text)
        if pin is not None:
            suites[text] = pin
    return suites


def _suite_places(recipe: Recipe) -> dict[str, Path]:
    """Where each suite is named first."""
    places: dict[str, Path] = {}
    for index, rule in enumerate(recipe.gates):
        if isinstance(rule, SUITE_RULES):
            places.setdefault(rule.suite, ("gates", index, "suite"))
    return places


def _check_overlaps(
    found: _Found, learned: Iterable[DatasetPin], suites: dict[str, DatasetPin]
) -> None:
    places = _suite_places(found.recipe)
    for train in learned:
        for text, suite in suites.items():
            try:
                overlap = _overlap(train, suite, found.recipe.family)
            except DizuoError as error:
                found.say(places[text], error.message, error.next_step)
                continue
            if not overlap.clean:
                found.say(places[text], *_overlap_sentence(overlap))


@lru_cache(maxsize=_OVERLAPS_KEPT)
def _overlap(train: DatasetPin, suite: DatasetPin, family: str) -> Overlap:
    """Pins name content by digest, so what was found once holds: a recipe is resolved when it is
    checked, when it is queued and when its turn comes, and compared once."""
    return datasets.overlaps(train, suite, registry.spec(family))


def _overlap_sentence(overlap: Overlap) -> tuple[str, str]:
    parts = []
    if overlap.num_exact:
        parts.append(f"{_count(overlap.num_exact, 'row')} of {overlap.train}")
    if overlap.num_near:
        parts.append(_count(overlap.num_near, "near duplicate"))
    joined = " and ".join(parts)
    if not overlap.num_exact:
        joined += f" of rows of {overlap.train}"
    example = overlap.pairs[0] if overlap.pairs else None
    message = f"The suite {overlap.suite} holds {joined}; its scores would not be honest."
    where = f" For example {example.suite_source} and {example.train_source}." if example else ""
    return message, f"Remove them from one of the two.{where}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
