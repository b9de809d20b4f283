"""The nouns of the improve loop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dizuo.core.transitions import Rule, StateMachine


class State(StrEnum):
    """Where an improvement is. The states before a final one name the work that comes next."""

    COLLECTING = "collecting"
    TUNING = "tuning"
    GATING = "gating"
    AWAITING_APPROVAL = "awaiting_approval"
    RELEASING = "releasing"
    ROLLING_OUT = "rolling_out"
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


IMPROVEMENT_MACHINE = StateMachine(
    thing="improvement",
    initial=State.COLLECTING,
    rules=(
        Rule("collect", (State.COLLECTING,), State.TUNING),
        Rule("tune", (State.TUNING,), State.GATING),
        Rule("pass_gate", (State.GATING,), State.RELEASING),
        Rule("ask_approval", (State.GATING,), State.AWAITING_APPROVAL),
        Rule("approve", (State.AWAITING_APPROVAL,), State.RELEASING),
        Rule("reject", (State.AWAITING_APPROVAL,), State.REJECTED),
        Rule("release", (State.RELEASING,), State.ROLLING_OUT),
        Rule("roll_out", (State.ROLLING_OUT,), State.DONE),
        Rule(
            "fail",
            (State.COLLECTING, State.TUNING, State.GATING, State.RELEASING, State.ROLLING_OUT),
            State.FAILED,
        ),
    ),
)
RESTING_STATES = frozenset(map(State, IMPROVEMENT_MACHINE.final_states)) | {State.AWAITING_APPROVAL}
"""Those in which there is nothing to do: it has ended, or a person must speak first."""


@dataclass(frozen=True, slots=True)
class ImprovementRequest:
    """What somebody asks for.

    Attributes:
        recipe: the YAML text of the recipe to rerun, which trains on `dataset`. Its pins of
            `dataset` and of `<dataset>-test` are moved to the versions made from the reviewed
            samples.
        dataset: the dataset that the reviewed samples go into.
        family: the family of the samples.
        sites: the sites that shall get the result.
        served_as: the name it is served under there; empty means its own.
        from_site: take only samples of this site; empty means of all sites.
        holdout: the share of the reviewed samples held out of training for the gates, 0 to 0.5.
        no_cache: build anew even if a stack from the same inputs is there.
    """

    recipe: str
    dataset: str
    family: str
    sites: tuple[str, ...]
    served_as: str = ""
    from_site: str = ""
    holdout: float = 0.2
    no_cache: bool = False


@dataclass(frozen=True, slots=True)
class Improvement:
    """One pass of the loop, with what each step made so far (empty where it has not run)."""

    id: str
    project_id: str
    state: State
    request: ImprovementRequest
    needs_approval: bool
    actor: str
    created_ms: int
    updated_ms: int
    dataset_versions: tuple[str, ...] = ()
    recipe_used: str = ""
    tune_run_id: str = ""
    stack: str = ""
    gate_run_id: str = ""
    release_id: str = ""
    rollout_id: str = ""
    reason: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in IMPROVEMENT_MACHINE.final_states
