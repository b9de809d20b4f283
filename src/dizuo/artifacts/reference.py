"""References to stacks: `[project/]name[:version][@sha256:digest]`.

Names follow the component grammar of OCI distribution, so that a stack's name can be a repository's
in any registry; versions are integers from 1 that only grow; digests are the truth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dizuo.core.digests import DIGEST_PATTERN
from dizuo.core.errors import InvalidInput

DEFAULT_PROJECT = "default"
MAX_NAME_LENGTH = 63
MAX_VERSION = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""

_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME_PATTERN = re.compile(_NAME)
_VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,15}")
_REFERENCE_PATTERN = re.compile(
    rf"(?:(?P<project>{_NAME})/)?(?P<name>{_NAME})"
    rf"(?::(?P<version>{_VERSION_PATTERN.pattern}))?(?:@(?P<digest>{DIGEST_PATTERN.pattern}))?"
)
_MAX_REFERENCE_LENGTH = 2 * MAX_NAME_LENGTH + 100


class InvalidReference(InvalidInput):
    """A text that is not a reference, or a name that cannot be in one."""

    code = "invalid_reference"


@dataclass(frozen=True, slots=True)
class Reference:
    """A stack, or one version of it when `version` or `digest` is there.

    Raises:
        InvalidReference: a part is not of its grammar.
    """

    project: str
    name: str
    version: int | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        require_name(self.project)
        require_name(self.name)
        if self.version is not None and not 1 <= self.version <= MAX_VERSION:
            raise InvalidReference(f"{self.version} is not a version; versions start at 1.")
        if self.digest is not None and not DIGEST_PATTERN.fullmatch(self.digest):
            raise InvalidReference(f"{self.digest[:80]!r} is not a digest.")

    def __str__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        digest = "" if self.digest is None else f"@{self.digest}"
        project = "" if self.project == DEFAULT_PROJECT else f"{self.project}/"
        return f"{project}{self.name}{version}{digest}"

    @property
    def repository(self) -> str:
        """`project/name`, as registries know it."""
        return f"{self.project}/{self.name}"


def require_name(text: str) -> str:
    """`text`, if it can be the name of a project or a stack.

    Raises:
        InvalidReference: it cannot.
    """
    if len(text) > MAX_NAME_LENGTH or not _NAME_PATTERN.fullmatch(text):
        raise InvalidReference(
            f"{text[:80]!r} is not a name.",
            next_step=f"Use up to {MAX_NAME_LENGTH} lower-case letters and digits, parted by single"
            " dots, underscores or dashes.",
        )
    return text


def require_repository(text: str) -> str:
    """`text`, if it is `project/name`.

    Raises:
        InvalidReference: it is not.
    """
    project, slash, name = text.partition("/")
    if not slash:
        raise InvalidReference(f"{text[:80]!r} is not a repository; write project/name.")
    require_name(project)
    require_name(name)
    return text


def parse_reference(text: str, project: str = DEFAULT_PROJECT) -> Reference:
    """Read a reference.

    Args:
        text: what was written.
        project: where it was written, and so what is meant where it names no project.

    Raises:
        InvalidReference: `text` does not follow the grammar.
    """
    match = _REFERENCE_PATTERN.fullmatch(text) if len(text) <= _MAX_REFERENCE_LENGTH else None
    if match is None:
        raise InvalidReference(
            f"{text[:80]!r} is not a reference to a stack.",
            next_step="Write [project/]name[:version][@sha256:digest], such as meter-reading:3.",
        )
    version = match["version"]
    return Reference(
        project=match["project"] or project,
        name=match["name"],
        version=None if version is None else int(version),
        digest=match["digest"],
    )
