"""The nouns of rollouts, and the two machines that say how one goes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dizuo.core.transitions import Rule, StateMachine
from dizuo.edge.wire import Direction


class RolloutState(StrEnum):
    """Where a rollout is."""

    PENDING = "pending"
    PROGRESSING = "progressing"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"


class EntryState(StrEnum):
    """Where one site of a rollout is."""

    PENDING = "pending"
    PROGRESSING = "progressing"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    STOPPED = "stopped"
    ROLLED_BACK = "rolled_back"


_R, _E = RolloutState, EntryState
_OPEN_ROLLOUT = (_R.PENDING, _R.PROGRESSING)
OPEN_ENTRY = (_E.PENDING, _E.PROGRESSING)

ROLLOUT_MACHINE = StateMachine(
    thing="rollout",
    initial=_R.PENDING,
    rules=(
        Rule("progress", (_R.PENDING,), _R.PROGRESSING),
        Rule("finish", _OPEN_ROLLOUT, _R.DONE),
        # Every site was directed elsewhere before it got here.
        Rule("supersede", _OPEN_ROLLOUT, _R.SUPERSEDED),
        # A site fell back, perhaps after it had switched.
        Rule("fail", (*_OPEN_ROLLOUT, _R.DONE), _R.FAILED),
        Rule("stop", _OPEN_ROLLOUT, _R.STOPPED),
        Rule("roll_back", (*_OPEN_ROLLOUT, _R.DONE, _R.FAILED, _R.STOPPED), _R.ROLLED_BACK),
    ),
)
ENTRY_MACHINE = StateMachine(
    thing="site of a rollout",
    initial=_E.PENDING,
    rules=(
        Rule("tell", (_E.PENDING,), _E.PROGRESSING),
        Rule("finish", OPEN_ENTRY, _E.DONE),
        Rule("supersede", OPEN_ENTRY, _E.SUPERSEDED),
        Rule("fail", (*OPEN_ENTRY, _E.DONE), _E.FAILED),
        Rule("stop", OPEN_ENTRY, _E.STOPPED),
        Rule("roll_back", (*OPEN_ENTRY, _E.DONE, _E.FAILED), _E.ROLLED_BACK),
    ),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One site of a rollout.

    `generation` is the site's generation that first holds the new direction, `previous` what the
    site was directed to under the same name before, `reason` why it is in its state.
    """

    id: str
    project_id: str
    rollout_id: str
    site_id: str
    site_name: str
    generation: int
    previous: Direction | None
    state: EntryState
    reason: str
    updated_ms: int

    @property
    def is_open(self) -> bool:
        """Whether the site is still on its way."""
        return self.state in OPEN_ENTRY

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as the API answers it."""
        return {
            "site": self.site_name,
            "generation": self.generation,
            "state": self.state.value,
            "reason": self.reason,
            "updated_ms": self.updated_ms,
        }


@dataclass(frozen=True, slots=True)
class Rollout:
    """A release on its way to sites: each gets `direction` into its desired set.

    `key` makes starting it idempotent (empty: never asked again), `wanted` is what was asked for
    under that key.
    """

    id: str
    project_id: str
    key: str
    release_id: str
    direction: Direction
    wanted: dict[str, Any]
    state: RolloutState
    reason: str
    actor: str
    created_ms: int
    updated_ms: int
    entries: tuple[Entry, ...] = ()

    @property
    def subject(self) -> str:
        """How the audit log names it."""
        return f"rollout:{self.id}"

    @property
    def is_open(self) -> bool:
        """Whether sites are still on their way and none has failed."""
        return self.state in _OPEN_ROLLOUT

    @property
    def stack(self) -> str:
        """The stack version, as people write it."""
        return f"{self.direction.name}:{self.direction.version}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as the API answers it."""
        return {
            "id": self.id,
            "stack": self.stack,
            "digest": self.direction.digest,
            "served_as": self.direction.served_as,
            "target": self.direction.target,
            "release_id": self.release_id,
            "state": self.state.value,
            "reason": self.reason,
            "actor": self.actor,
            "created_ms": self.created_ms,
            "updated_ms": self.updated_ms,
            "sites": [entry.as_dict() for entry in self.entries],
        }
