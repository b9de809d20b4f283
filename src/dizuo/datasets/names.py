"""What datasets may be called, and how a version of one is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dizuo.core.errors import InvalidInput
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets.errors import PinRefused
from dizuo.datasets.model import TEST_SUFFIX

MAX_NAME_LENGTH = 63 - len(TEST_SUFFIX)
_NAME = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_PIN = re.compile(
    rf"(?:(?P<project>{_NAME})/)?(?P<name>{_NAME})(?:@(?P<version>\d{{1,9}}|latest))?"
)


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A dataset version by name; a `version` of None means the newest."""

    project: str
    name: str
    version: int | None


def require_name(name: str) -> str:
    """`name`, if a dataset and its test may be called so.

    Raises:
        InvalidInput: they may not.
    """
    if len(name) > 63 or not re.fullmatch(_NAME, name):
        raise InvalidInput(
            f"{name[:80]!r} cannot be the name of a dataset.",
            next_step=f"Use small letters, digits, '.', '_' and '-', at most {MAX_NAME_LENGTH}.",
        )
    return name


def parse_ref(
    text: str, *, allow_latest: bool = False, project: str = DEFAULT_PROJECT
) -> DatasetRef:
    """`[project/]name@version` taken apart.

    Args:
        text: what was written.
        allow_latest: whether `name` and `name@latest` mean the newest version. Recipes do not
            allow it: what they were built from must not depend on when they ran.
        project: the project where the text names none.

    Raises:
        PinRefused: it does not name one version.
    """
    match = _PIN.fullmatch(text)
    if match is None:
        raise PinRefused(
            f"{text[:80]!r} does not name a dataset version.",
            next_step="Write name@version, for example digits@3.",
        )
    number = match["version"]
    version = int(number) if number and number != "latest" else None
    if version is None and not allow_latest:
        raise PinRefused(
            f"{text!r} does not say which version.",
            next_step=f"Pin one, for example {match['name']}@1.",
        )
    return DatasetRef(match["project"] or project, match["name"], version)
