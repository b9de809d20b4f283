"""What the answers of the stack behind a sample look like: classes, JSON by a schema, or text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from dizuo.core.errors import DizuoError
from dizuo.datasets import service as datasets
from dizuo.datasets.model import Sample
from dizuo.datasets.names import DatasetRef
from dizuo.datasets.table import read_classes
from dizuo.families.vision.spec import NAME as VISION
from dizuo.stacks import service as stacks
from dizuo.stacks.errors import RecipeRefused, StackNotFound
from dizuo.stacks.model import DatasetUse, StackVersion
from dizuo.stacks.recipe import parse_recipe

MAX_CLASSES = 1000
_MAX_LAYERS = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """`labels` are the classes, `schema` is what a JSON answer is held to; neither is known of a
    text that may say anything, or where the hub lacks the stack."""

    labels: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None


def asked_of(session: Session, sample: Sample) -> Asked:
    """What the stack that answered a sample was asked for, by the recipes and data of its layers:
    of a classifier without labels of its own, its parent's count."""
    digest: str | None = sample.stack_digest
    for _ in range(_MAX_LAYERS):
        stack = _known(session, digest, sample.project_id)
        if stack is None:
            break
        task = _task(stack)
        if "schema" in task:
            return Asked(schema=task["schema"])
        if sample.family != VISION:
            break
        if labels := task.get("labels") or _classes(session, stack):
            return Asked(tuple(labels))
        digest = stack.parent_digest
    return Asked()


def _known(session: Session, digest: str | None, project_id: str) -> StackVersion | None:
    if digest is None:
        return None
    try:
        found = stacks.get_by_digest(session, digest)
    except StackNotFound:
        return None
    return found if found.project_id == project_id else None


def _task(stack: StackVersion) -> Mapping[str, Any]:
    """Empty for an imported base, and for a recipe that this version cannot read any more."""
    try:
        return parse_recipe(stack.recipe).task if stack.recipe else {}
    except RecipeRefused:
        return {}


def _classes(session: Session, stack: StackVersion) -> Sequence[str]:
    for used in stack.datasets:
        if used.use is DatasetUse.TRAIN:
            try:
                ref = DatasetRef(used.project, used.name, used.version)
                return read_classes(datasets.find(session, ref).pin, MAX_CLASSES)
            except DizuoError:  # gone or damaged: its classes are not known, all else goes on
                return ()
    return ()
