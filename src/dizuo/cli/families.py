"""Of which family something is, where a command was not told: asked before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dizuo.client.errors import HubError
from dizuo.client.hub import HubClient
from dizuo.families import registry


def family_of_dataset(hub: HubClient, name: str) -> str:
    """The family of a dataset.

    Raises:
        FamilyMissing: there is no such dataset yet.
        HubError: the hub does not say.
    """
    known = _unless(lambda: hub.dataset(name)["family"], "dataset_missing")
    return registry.choose("", known, f"the new dataset {name}")


def family_of_stack(hub: HubClient, name: str) -> str:
    """The family of a stack.

    Raises:
        FamilyMissing: there is no such stack yet.
        HubError: the hub does not say.
    """
    known = _unless(lambda: hub.stack_versions(name)[0]["family"], "stack_not_found")
    return registry.choose("", known, f"the new stack {name}")


def _unless(ask: Callable[[], Any], code: str) -> str | None:
    try:
        return str(ask())
    except HubError as error:
        if error.answered_code != code:
            raise
        return None
