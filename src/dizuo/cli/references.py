"""Names and versions as people type them."""

from __future__ import annotations

from dataclasses import dataclass

from dizuo.artifacts.reference import parse_reference
from dizuo.client.hub import HubClient
from dizuo.core.errors import InvalidInput


class ReferenceRefused(InvalidInput):
    """A text that is not `name@version`."""

    code = "reference_refused"


@dataclass(frozen=True, slots=True)
class StackName:
    """One stack version."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


def stack_name(hub: HubClient, text: str) -> StackName:
    """`name:version`, or the newest version of `name`.

    Raises:
        InvalidInput: it is not a reference.
        HubError: the hub has no stack of this name.
    """
    reference = parse_reference(text)
    if reference.version is not None:
        return StackName(reference.name, reference.version)
    newest = max(int(one["version"]) for one in hub.stack_versions(reference.name))
    return StackName(reference.name, newest)


def dataset_pin(text: str) -> tuple[str, int]:
    """The name and the version in `name@version`.

    Raises:
        ReferenceRefused: it is not one.
    """
    name, _, version = text.partition("@")
    if not name or not (version.isascii() and version.isdecimal()) or int(version) < 1:
        raise ReferenceRefused(
            f"{text[:80]!r} does not name a dataset version.",
            next_step="Write it like harbin-tickets@12; see dizuo data ls.",
        )
    return name, int(version)
