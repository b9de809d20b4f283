"""Where in the console what has a page of its own is shown."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from markupsafe import Markup

from dizuo.console.elements.markup import link


def stack_address(name: str, version: int | str) -> str:
    """The page of a stack version."""
    return f"/stacks/{quote(name)}/{quote(str(version))}"


def stack_link(name: str, version: int) -> Markup:
    """A stack version, leading to its page."""
    return link(f"{name}:{version}", stack_address(name, version))


def stack_ref_link(ref: str) -> Markup:
    """A stack version, `name:version`, leading to its page."""
    return link(ref, _stack(ref))


def dataset_link(ref: str) -> Markup:
    """A dataset version, `name@version`, leading to its page."""
    return link(ref, _dataset(ref))


def site_link(name: str) -> Markup:
    """A site, leading to its page."""
    return link(name, f"/sites/{quote(name)}")


def run_address(run_id: str) -> str:
    """A run's page."""
    return f"/runs/{quote(run_id)}"


def rollout_address(rollout_id: str) -> str:
    """A rollout's page."""
    return f"/releases/rollouts/{quote(rollout_id)}"


def improvement_address(improvement_id: str) -> str:
    """An improvement's page."""
    return f"/approvals/{quote(improvement_id)}"


def entry_address(sequence: int) -> str:
    """The page of an entry of the audit log."""
    return f"/audit/{sequence}"


def subject_address(subject: str) -> str:
    """The page of what an audit entry is about, or empty where there is none."""
    kind, _, name = subject.partition(":")
    find = _FOUND_AT.get(kind)
    return find(name) if find and name else ""


def _stack(ref: str) -> str:
    name, _, version = ref.partition(":")
    return stack_address(name, version)


def _dataset(ref: str) -> str:
    name, _, version = ref.partition("@")
    return f"/data/{quote(name)}/{quote(version)}" if version else f"/data/{quote(name)}"


_FOUND_AT: dict[str, Callable[[str], str]] = {
    "stack": _stack,
    "dataset": _dataset,
    "site": lambda name: f"/sites/{quote(name)}",
    "run": run_address,
    "rollout": lambda name: rollout_address(name.partition(":")[0]),
    "improvement": improvement_address,
    "account": lambda name: f"/people/{quote(name)}",
}
