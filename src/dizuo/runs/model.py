"""The nouns of runs, and the one machine that says how a run changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dizuo.core.transitions import Rule, StateMachine


class RunState(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUN_MACHINE = StateMachine(
    thing="run",
    initial=RunState.QUEUED,
    rules=(
        Rule("start", (RunState.QUEUED,), RunState.RUNNING),
        # Its inputs were built before: there is nothing to run.
        Rule("reuse", (RunState.QUEUED,), RunState.SUCCEEDED),
        Rule("succeed", (RunState.RUNNING,), RunState.SUCCEEDED),
        Rule("fail", (RunState.QUEUED, RunState.RUNNING), RunState.FAILED),
        Rule("cancel", (RunState.QUEUED, RunState.RUNNING), RunState.CANCELLED),
        # The worker is gone and the work goes on in a new one, from its last checkpoint.
        Rule("requeue", (RunState.RUNNING,), RunState.QUEUED),
    ),
)
FINAL_STATES = frozenset(RunState(state) for state in RUN_MACHINE.final_states)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs of a project: of a kind, in a state, whose spec or outcome holds a text."""

    project_id: str
    kind: str = ""
    state: RunState | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of something that takes a while.

    `fence` counts the attempts: each worker gets the next number, and only the result of the
    newest counts. `num_lost` is how many of them ended without a word. `lease_ms` is until when the
    worker is believed without a new sign of life, `cancel_ms` when somebody asked to stop it.
    `outcome` is what a succeeded run made (for a tune: `{"stack": "name:version", "digest": …}`),
    `error` why a failed one failed, in the shape of `DizuoError.as_dict()["error"]`. `cached` says
    that the outcome was there already and nothing ran.
    """

    id: str
    project_id: str
    kind: str
    key: str
    spec: dict[str, Any]
    actor: str
    state: RunState
    fence: int
    num_lost: int
    cached: bool
    outcome: dict[str, Any] | None
    error: dict[str, Any] | None
    lease_ms: int | None
    cancel_ms: int | None
    created_ms: int
    started_ms: int | None
    finished_ms: int | None

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_STATES

    @property
    def subject(self) -> str:
        """How the audit log names it."""
        return f"run:{self.id}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as the API answers it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state.value,
            "spec": self.spec,
            "actor": self.actor,
            "attempts": self.fence,
            "cached": self.cached,
            "cancel_requested": self.cancel_ms is not None,
            "outcome": self.outcome,
            "error": self.error,
            "created_ms": self.created_ms,
            "started_ms": self.started_ms,
            "finished_ms": self.finished_ms,
        }
