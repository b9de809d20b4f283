"""The work of each state of an improvement, on the hub's real parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dizuo.artifacts.reference import parse_reference
from dizuo.database.engine import Database
from dizuo.datasets import service as datasets
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.errors import DatasetMissing, NothingReviewed
from dizuo.datasets.model import DatasetPin, Draft
from dizuo.datasets.review import Collection, collect
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport
from dizuo.improvements.model import Improvement, State
from dizuo.improvements.repin import repin
from dizuo.improvements.service import Step
from dizuo.releases import service as releases
from dizuo.releases.repository import Repository
from dizuo.runs import service as runs
from dizuo.runs.model import Run, RunState
from dizuo.runs.supervisor import Supervisor
from dizuo.sites import rollouts
from dizuo.stacks import service as stacks
from dizuo.stacks.recipe import parse_recipe

_WAIT_SECONDS = 30 * 24 * 3600.0
"""How long a run may take; waiting ends at once when the supervisor stops."""

Work = Callable[[Session, Improvement], Step]
"""What a state does inside its transaction."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The hub's parts that the loop uses."""

    database: Database
    home: Path
    repository: Repository
    supervisor: Supervisor
    require_approval: bool


class Steps:
    """What each state of an improvement does."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._work: Mapping[State, Work] = {
            State.COLLECTING: self._collect,
            State.TUNING: self._tune,
            State.GATING: self._gate,
            State.RELEASING: self._release,
            State.ROLLING_OUT: self._roll_out,
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

    def _gather(self, improvement: Improvement) -> None:
        """Put the reviewed samples into a dataset version, once for each improvement.

        Where none is waiting, what was labelled before is learned from: an unchanged version leads
        to an unchanged stack, which is found and not built again.
        """
        request = improvement.request
        collection = Collection(
            name=request.dataset,
            family=request.family,
            origin=f"improvement:{improvement.id}",
            site=request.from_site,
            holdout=request.holdout,
            project_id=improvement.project_id,
        )
        warehouse = Warehouse(self._parts.database, datasets.root_of(self._parts.home))
        try:
            collect(warehouse, self._parts.home, collection, improvement.actor)
        except NothingReviewed:
            with self._parts.database.reading() as session:
                if not _newest(session, request.dataset, improvement.project_id):
                    raise

    def _collect(self, session: Session, improvement: Improvement) -> Step:
        request, project = improvement.request, improvement.project_id
        draft = Draft(request.dataset, request.family, f"improvement:{improvement.id}")
        halves = ((draft.name, draft.origin), (draft.test_name, draft.test_origin))
        found = [pin for name, key in halves if (pin := _collected(session, name, key, project))]
        recipe = repin(request.recipe, {pin.name: pin.version for pin in found})
        parse_recipe(recipe, "recipe")
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
        stack = stacks.get(session, parse_reference(improvement.stack))
        report = gates.latest_report(session, stack.digest, project_id=improvement.project_id)
        if report is None or not report.passed:
            return Step("fail", {}, _what_failed(report))
        if improvement.needs_approval:
            return Step("ask_approval", {}, "The gates were passed; a person must approve.")
        return Step("pass_gate", {})

    def _release(self, session: Session, improvement: Improvement) -> Step:
        stack = stacks.get(session, parse_reference(improvement.stack))
        release = releases.release(session, self._parts.repository, stack, improvement.actor)
        return Step("release", {"release_id": release.id})

    def _roll_out(self, session: Session, improvement: Improvement) -> Step:
        request = improvement.request
        rollout = rollouts.start(
            session,
            improvement.stack,
            request.sites,
            improvement.actor,
            served_as=request.served_as,
            key=f"improvement:{improvement.id}",
            project_id=improvement.project_id,
        )
        return Step("roll_out", {"rollout_id": rollout.id})


def _collected(session: Session, name: str, origin: str, project_id: str) -> DatasetPin | None:
    """What this improvement collected, or, where it added nothing, what was there before."""
    own = datasets.version_by_origin(session, name, origin, project_id)
    return own.pin if own else _newest(session, name, project_id)


def _newest(session: Session, name: str, project_id: str) -> DatasetPin | None:
    try:
        return datasets.show(session, name, project_id).latest.pin
    except DatasetMissing:
        return None


def _why(run: Run) -> str:
    message = (run.error or {}).get("message", "")
    return f"The {run.kind} run ended as {run.state.value}. {message}".strip()


def _what_failed(report: GateReport | None) -> str:
    if report is None:
        return "The gates left no report."
    reasons = [f"{rule.sentence}: {rule.reason}" for rule in report.rules if not rule.passed]
    return " ".join([report.summary(), *reasons])
