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


def stack_name(hub: HubClient, text: str) -> StackName:
    """The version that a reference names, or the newest; or the one that has a bare digest. The hub
    sees to it that the digest and the project fit.

    Raises:
        HubError: it is not a reference, or the hub has no such stack.
    """
    found = hub.find_stack(text)
    return StackName(found["name"], found["version"])


def stack_reference(text: str) -> str:
    """A reference with every part that was typed, for the hub to decide by.

    Raises:
        InvalidReference: it is not one.
    """
    return str(parse_reference(text))


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
