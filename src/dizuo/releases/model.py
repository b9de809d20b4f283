"""The nouns of releases, and how a release changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dizuo.core.transitions import Rule, StateMachine
from dizuo.releases.repository import StackTarget


class ReleaseState(StrEnum):
    """Where a release is."""

    GATED = "gated"
    SIGNED = "signed"
    WITHDRAWN = "withdrawn"


RELEASE_MACHINE = StateMachine(
    thing="release",
    initial=ReleaseState.GATED,
    rules=(
        Rule("sign", (ReleaseState.GATED,), ReleaseState.SIGNED),
        Rule("withdraw", (ReleaseState.SIGNED,), ReleaseState.WITHDRAWN),
    ),
)
"""Nothing rests in `gated`: a stack whose gate report passed is signed in the same transaction.
`withdrawn` is final, because sites may have seen the withdrawal: what replaces it is a new version.
"""


@dataclass(frozen=True, slots=True)
class Release:
    """A stack version signed as fit to run.

    `targets` are the forms the stack comes in, `actor` who released it, `withdrawn_ms` when it was
    taken back.
    """

    id: str
    project_id: str
    name: str
    version: int
    digest: str
    size_bytes: int
    family: str
    level: str
    targets: tuple[str, ...]
    state: ReleaseState
    actor: str
    created_ms: int
    withdrawn_ms: int | None

    @property
    def stack(self) -> str:
        """The stack version, as people write it."""
        return f"{self.name}:{self.version}"

    @property
    def subject(self) -> str:
        """How the audit log names it."""
        return f"release:{self.id}"

    def as_target(self) -> StackTarget:
        """What is signed about it."""
        return StackTarget(
            project=self.project_id,
            name=self.name,
            version=self.version,
            digest=self.digest,
            size_bytes=self.size_bytes,
            family=self.family,
            level=self.level,
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as the API answers it."""
        return {
            "id": self.id,
            "stack": self.stack,
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "family": self.family,
            "level": self.level,
            "targets": list(self.targets),
            "state": self.state.value,
            "actor": self.actor,
            "created_ms": self.created_ms,
            "withdrawn_ms": self.withdrawn_ms,
        }
