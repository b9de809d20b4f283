"""Finding families by entry point; built-in ones are registered the same way as a stranger's."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from dizuo.families.base import Exporter, Footprint, Importer, Runtime, Scorer, Spec, Tuner
from dizuo.families.errors import FamilyMissing, UnknownFamily

ENTRY_POINT_GROUP = "dizuo.families"


@cache
def family_packages() -> dict[str, str]:
    """Installed families: name to package."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


def choose(asked: str, known: str | None, what: str) -> str:
    """The family that was asked for, or else the one that what exists already is of.

    Args:
        asked: what was said, or nothing.
        known: the family of what exists under that name, if it does.
        what: what the family is needed for, for the sentence.

    Raises:
        FamilyMissing: neither tells.
    """
    family = asked or known
    if not family:
        raise FamilyMissing(
            f"It is not said of which family {what} is.",
            next_step=f"Name it with --family; installed families: {_installed()}.",
        )
    return family


def _installed() -> str:
    return ", ".join(sorted(family_packages())) or "none"


def _part(family: str, module: str) -> object:
    package = family_packages().get(family)
    if package is None:
        raise UnknownFamily(
            f"There is no family {family!r}.", next_step=f"Installed families: {_installed()}."
        )
    return import_module(f"{package}.{module}")


def spec(family: str) -> Spec:
    """What the family takes and refuses.

    Raises:
        UnknownFamily: nothing offers it (also for the other parts below).
    """
    return cast(Spec, _part(family, "spec"))


def scorer(family: str) -> Scorer:
    """The family's metrics."""
    return cast(Scorer, _part(family, "score"))


def runtime(family: str) -> Runtime:
    """The family's engine."""
    return cast(Runtime, _part(family, "runtime"))


def footprint(family: str) -> Footprint:
    """How much memory the family's engine takes."""
    return cast(Footprint, _part(family, "footprint"))


def tuner(family: str) -> Tuner:
    """How the family makes layers. Needs the hub's packages."""
    return cast(Tuner, _part(family, "tune"))


def exporter(family: str) -> Exporter:
    """How the family turns layers into targets. Needs the hub's packages."""
    return cast(Exporter, _part(family, "export"))


def importer(family: str) -> Importer:
    """How the family takes in open models. Needs the hub's packages."""
    return cast(Importer, _part(family, "importing"))
