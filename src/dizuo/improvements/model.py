"""The nouns of the improve loop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dizuo.artifacts.reference import Reference, parse_reference
from dizuo.core.transitions import Rule, StateMachine


class State(StrEnum):
    """Where an improvement is. Those that neither rest nor are final name the work that is next."""

    AWAITING_REVIEW = "awaiting_review"
    COLLECTING = "collecting"
    TUNING = "tuning"
    GATING = "gating"
    AWAITING_APPROVAL = "awaiting_approval"
    RELEASING = "releasing"
    DIRECTING = "directing"
    ROLLING_OUT = "rolling_out"
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


IMPROVEMENT_MACHINE = StateMachine(
    thing="improvement",
    initial=State.AWAITING_REVIEW,
    rules=(
        # Enough returned samples have been reviewed.
        Rule("begin", (State.AWAITING_REVIEW,), State.COLLECTING),
        # Another improvement has taken what was reviewed.
        Rule("wait", (State.COLLECTING,), State.AWAITING_REVIEW),
        Rule("collect", (State.COLLECTING,), State.TUNING),
        Rule("tune", (State.TUNING,), State.GATING),
        Rule("pass_gate", (State.GATING,), State.RELEASING),
        Rule("ask_approval", (State.GATING,), State.AWAITING_APPROVAL),
        Rule("approve", (State.AWAITING_APPROVAL,), State.RELEASING),
        Rule("reject", (State.AWAITING_REVIEW, State.AWAITING_APPROVAL), State.REJECTED),
        Rule("release", (State.RELEASING,), State.DIRECTING),
        Rule("roll_out", (State.DIRECTING,), State.ROLLING_OUT),
        # Every site that is still in the rollout serves the result.
        Rule("finish", (State.ROLLING_OUT,), State.DONE),
        Rule(
            "fail",
            (
                State.COLLECTING,
                State.TUNING,
                State.GATING,
                State.RELEASING,
                State.DIRECTING,
                State.ROLLING_OUT,
            ),
            State.FAILED,
        ),
    ),
)
WATCHED_STATES = frozenset({State.AWAITING_REVIEW, State.ROLLING_OUT})
"""Those that end by themselves once something else has happened: a review, a site's arrival."""
RESTING_STATES = frozenset(map(State, IMPROVEMENT_MACHINE.final_states)) | {
    State.AWAITING_APPROVAL,
    *WATCHED_STATES,
}
"""Those in which there is nothing to do: it has ended, or waits for people or for sites."""


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
        served_as: the name it is served under there, and only samples of what is served under
            that name are taken; empty means its own, which is filled in when it starts.
        from_site: take only samples of this site; empty means of all sites.
        holdout: the share of the reviewed samples held out of training for the gates, 0 to 0.5.
        no_cache: build anew even if a stack from the same inputs is there.
        min_samples: how many reviewed samples must be there before it begins; 0 begins at once, and
            learns from what was labelled before where nothing is new.
    """

    recipe: str
    dataset: str
    family: str
    sites: tuple[str, ...]
    served_as: str = ""
    from_site: str = ""
    holdout: float = 0.2
    no_cache: bool = False
    min_samples: int = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """Whether a person must approve each improvement of a project before it is released.

    `actor` is who said so for the project; empty where nobody has, and the hub's setting counts.
    """

    require_approval: bool
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Improvement:
    """One pass of the loop, with what each step made so far (empty where it has not run).

    `actor` is who started it; `approver` who let it be released, where a person had to.
    """

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
    approver: str = ""
    release_id: str = ""
    rollout_id: str = ""
    reason: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in IMPROVEMENT_MACHINE.final_states

    @property
    def stack_reference(self) -> Reference:
        """The stack that it made, in its own project.

        Raises:
            InvalidReference: it has made none yet.
        """
        return parse_reference(self.stack, self.project_id)
