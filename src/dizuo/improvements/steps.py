"""The work of each state of an improvement, on the hub's real parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dizuo.database.engine import Database
from dizuo.datasets import samples
from dizuo.datasets import service as datasets
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.errors import DatasetMissing, NothingReviewed
from dizuo.datasets.model import DatasetPin, Draft
from dizuo.datasets.review import Collection, collect
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport
from dizuo.improvements.model import Improvement, ImprovementRequest, State
from dizuo.improvements.policy import policy
from dizuo.improvements.repin import repin
from dizuo.improvements.service import Step
from dizuo.releases import service as releases
from dizuo.releases.repository import Repository
from dizuo.runs import service as runs
from dizuo.runs.model import Run, RunState
from dizuo.runs.supervisor import Supervisor
from dizuo.sites import rollout_finding, rollouts
from dizuo.sites.rollout_model import Rollout, RolloutState
from dizuo.stacks import service as stacks
from dizuo.stacks.recipe import parse_recipe

_WAIT_SECONDS = 30 * 24 * 3600.0
"""How long a run may take; waiting ends at once when the supervisor stops."""

Work = Callable[[Session, Improvement], Step]
"""What a state does inside its transaction."""
Look = Callable[[Session, Improvement], Step | str]
"""What ends the rest of a state, or a sentence on what it still waits for. Only reads."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The hub's parts that the loop uses; `require_approval` is its setting."""

    database: Database
    home: Path
    repository: Repository
    supervisor: Supervisor
    require_approval: bool

    def asks(self, session: Session, project_id: str) -> bool:
        """Whether a person must approve a project's improvements now."""
        return policy(session, project_id, default=self.require_approval).require_approval


class Steps:
    """What each state of an improvement does."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._work: Mapping[State, Work] = {
            State.COLLECTING: self._collect,
            State.TUNING: self._tune,
            State.GATING: self._gate,
            State.RELEASING: self._release,
            State.DIRECTING: self._roll_out,
        }
        self._looks: Mapping[State, Look] = {
            State.AWAITING_REVIEW: self._look_for_reviews,
            State.ROLLING_OUT: self._look_at_rollout,
        }

    def before(self, improvement: Improvement) -> None:
        """What the present state needs first, outside its transaction; may be repeated."""
        if improvement.state == State.COLLECTING:
            self._gather(improvement)
        elif improvement.state == State.TUNING:
            self._parts.supervisor.wait(improvement.tune_run_id, _WAIT_SECONDS)
        elif improvement.state == State.GATING:
            self._parts.supervisor.wait(improvement.gate_run_id, _WAIT_SECONDS)

    def work(self, state: State) -> Work:
        """What to do in the transaction that leaves this state."""
        return self._work[state]

    def look(self, session: Session, improvement: Improvement) -> Step | str:
        """Whether what a watched state waits for has happened; see `Look`."""
        return self._looks[improvement.state](session, improvement)

    def _look_for_reviews(self, session: Session, improvement: Improvement) -> Step | str:
        counts = samples.count(session, _collection(improvement).wanted)
        found, least = sum(counts.values()), improvement.request.min_samples
        if found >= least:
            return Step("begin", {}, f"Reviewed samples to learn from: {found}.")
        name = improvement.request.served_as
        return f"It waits for reviewed samples of {name}: {found} of {least} are there."

    def _look_at_rollout(self, session: Session, improvement: Improvement) -> Step | str:
        """Its sites are counted, not read: they may be ten thousand, and this is done often."""
        found = rollout_finding.show(
            session, improvement.rollout_id, project_id=improvement.project_id
        )
        if found.rollout.is_open:
            return f"{found.num_done} of {found.num_sites} sites serve it."
        if found.rollout.state is RolloutState.DONE:
            return Step("finish", {})
        return Step("fail", {}, _how_it_ended(found.rollout))

    def _gather(self, improvement: Improvement) -> None:
        """Put the reviewed samples into a dataset version, once for each improvement.

        Where none is there, what was labelled before is learned from: an unchanged version leads to
        an unchanged stack, which is found and not built again.
        """
        warehouse = Warehouse(self._parts.database, datasets.root_of(self._parts.home))
        with suppress(NothingReviewed):
            collect(warehouse, self._parts.home, _collection(improvement), improvement.actor)

    def _collect(self, session: Session, improvement: Improvement) -> Step:
        request, project = improvement.request, improvement.project_id
        draft = Draft(request.dataset, request.family, f"improvement:{improvement.id}")
        halves = ((draft.name, draft.origin), (draft.test_name, draft.test_origin))
        found = [pin for name, key in halves if (pin := _collected(session, name, key, project))]
        if draft.name not in {pin.name for pin in found}:
            return _without_samples(request)
        recipe = repin(request.recipe, {pin.name: pin.version for pin in found})
        parse_recipe(recipe, "recipe", project_id=project)
        run = runs.submit(
            session,
            "tune",
            {"recipe": recipe, "no_cache": request.no_cache, "project": project},
            f"improvement:{improvement.id}:tune",
            improvement.actor,
            project_id=project,
        )
        made = {
            "dataset_versions": [pin.ref for pin in found],
            "recipe_used": recipe,
            "tune_run_id": run.id,
        }
        return Step("collect", made)

    def _tune(self, session: Session, improvement: Improvement) -> Step:
        run = runs.get(session, improvement.tune_run_id)
        if run.state is not RunState.SUCCEEDED or run.outcome is None:
            return Step("fail", {}, _why(run))
        stack = str(run.outcome["stack"])
        gate = runs.submit(
            session,
            "gate",
            {"stack": stack, "project": improvement.project_id},
            f"improvement:{improvement.id}:gate",
            improvement.actor,
            project_id=improvement.project_id,
        )
        return Step("tune", {"stack": stack, "gate_run_id": gate.id})

    def _gate(self, session: Session, improvement: Improvement) -> Step:
        run = runs.get(session, improvement.gate_run_id)
        if run.state is not RunState.SUCCEEDED:
            return Step("fail", {}, _why(run))
        stack = stacks.get(session, improvement.stack_reference)
        report = gates.latest_report(session, stack.digest, project_id=improvement.project_id)
        if report is None or not report.passed:
            return Step("fail", {}, _what_failed(report))
        if improvement.needs_approval or self._parts.asks(session, improvement.project_id):
            return Step("ask_approval", {}, "The gates were passed; a person must approve.")
        return Step("pass_gate", {})

    def _release(self, session: Session, improvement: Improvement) -> Step:
        stack = stacks.get(session, improvement.stack_reference)
        release = releases.release(
            session,
            self._parts.repository,
            stack,
            _signer(improvement),
            cause=_cause(improvement),
        )
        return Step("release", {"release_id": release.id})

    def _roll_out(self, session: Session, improvement: Improvement) -> Step:
        request = improvement.request
        rollout = rollouts.start(
            session,
            improvement.stack,
            request.sites,
            _signer(improvement),
            served_as=request.served_as,
            key=f"improvement:{improvement.id}",
            cause=_cause(improvement),
            project_id=improvement.project_id,
        )
        return Step("roll_out", {"rollout_id": rollout.id})


def _signer(improvement: Improvement) -> str:
    """Who releases: the person who approved, or else the loop itself, where policy lets it. Never
    the one who started it, who may not be allowed to."""
    return improvement.approver or f"workflow:{improvement.id}"


def _cause(improvement: Improvement) -> Mapping[str, str]:
    return {"improvement": improvement.id, "started_by": improvement.actor}


def _collection(improvement: Improvement) -> Collection:
    """The reviewed samples that an improvement takes, and where to."""
    request = improvement.request
    return Collection(
        name=request.dataset,
        family=request.family,
        origin=f"improvement:{improvement.id}",
        site=request.from_site,
        served_as=request.served_as,
        holdout=request.holdout,
        project_id=improvement.project_id,
    )


def _without_samples(request: ImprovementRequest) -> Step:
    """What happens where nothing was collected and the dataset is not there."""
    if request.min_samples:
        return Step("wait", {}, "Another improvement has taken the reviewed samples.")
    raise NothingReviewed(
        "No sample was reviewed yet, so there is nothing to learn from.",
        next_step="Label samples first: see `dizuo review ls`.",
    )


def _collected(session: Session, name: str, origin: str, project_id: str) -> DatasetPin | None:
    """What this improvement collected, or, where it added nothing, what was there before."""
    own = datasets.version_by_origin(session, name, origin, project_id)
    return own.pin if own else _newest(session, name, project_id)


def _newest(session: Session, name: str, project_id: str) -> DatasetPin | None:
    try:
        return datasets.show(session, name, project_id).latest.pin
    except DatasetMissing:
        return None


def _how_it_ended(rollout: Rollout) -> str:
    reason = rollout.reason or "no site got there before it was let go or directed elsewhere"
    return f"The rollout ended as {rollout.state.value}: {reason.rstrip('.')}."


def _why(run: Run) -> str:
    message = (run.error or {}).get("message", "")
    return f"The {run.kind} run ended as {run.state.value}. {message}".strip()


def _what_failed(report: GateReport | None) -> str:
    if report is None:
        return "The gates left no report."
    reasons = [f"{rule.sentence}: {rule.reason}" for rule in report.rules if not rule.passed]
    return " ".join([report.summary(), *reasons])
