"""The work of each state of an improvement, on the hub's real parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dizuo.access.model import Principal
from dizuo.artifacts.reference import parse_reference
from dizuo.core.errors import DizuoError
from dizuo.database.engine import Database
from dizuo.datasets import service as datasets
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.errors import DatasetMissing, NothingReviewed
from dizuo.datasets.model import TEST_SUFFIX, DatasetPin
from dizuo.datasets.review import Collection, collect
from dizuo.gates import service as gates
from dizuo.improvements import service, store, workflow
from dizuo.improvements.model import IMPROVEMENT_MACHINE, Improvement, ImprovementRequest, State
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

_WAIT_SECONDS = 3600.0
_logger = logging.getLogger(__name__)

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


class Improver:
    """Starts improvements and moves them forward."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._workflow: workflow.ImproveWorkflow | None = None
        self._work: Mapping[State, Work] = {
            State.COLLECTING: self._collect,
            State.TUNING: self._tune,
            State.GATING: self._gate,
            State.RELEASING: self._release,
            State.ROLLING_OUT: self._roll_out,
        }

    def launch(self, database_url: str) -> None:
        """Start the durable side and go on with every improvement that is not final."""
        self._workflow = workflow.launch(database_url, self.advance)
        with self._parts.database.reading() as session:
            pending = store.unfinished(session, IMPROVEMENT_MACHINE.final_states)
        for improvement_id in pending:
            workflow.begin(self._workflow, improvement_id)

    def start(self, request: ImprovementRequest, caller: Principal) -> Improvement:
        """Start an improvement; its recipe is checked first, so a bad one changes nothing.

        Raises:
            RecipeRefused: the recipe is wrong; every problem with its line.
            ImprovementRefused: the request is wrong.
        """
        parse_recipe(request.recipe, "recipe")
        with self._parts.database.transaction() as session:
            improvement = service.start(
                session,
                request,
                caller.actor,
                needs_approval=self._parts.require_approval,
            )
        if self._workflow is not None:
            workflow.begin(self._workflow, improvement.id)
        return improvement

    def decide(self, improvement_id: str, caller: Principal, *, approve: bool) -> Improvement:
        """A person's word; wakes the workflow that waits for it.

        Raises:
            ImprovementNotFound: there is none.
            TransitionRefused: it does not wait for approval.
        """
        with self._parts.database.transaction() as session:
            decided = service.decide(session, improvement_id, caller.actor, approve=approve)
        workflow.wake(improvement_id)
        return decided

    def advance(self, improvement_id: str) -> State:
        """Do the work of the present state; the state after it.

        An expected error that a retry cannot mend ends the improvement as failed, with the
        sentence as its reason; any other is left to the workflow, which tries again.
        """
        with self._parts.database.reading() as session:
            improvement = service.get(session, improvement_id)
        if improvement.is_final or improvement.state == State.AWAITING_APPROVAL:
            return improvement.state
        try:
            self._before(improvement)
            return self._change(improvement_id, self._work[improvement.state])
        except DizuoError as error:
            if error.retryable:
                raise
            reason = str(error)
            return self._change(improvement_id, lambda _session, _one: Step("fail", {}, reason))

    def _change(self, improvement_id: str, work: Work) -> State:
        with self._parts.database.transaction() as session:
            improvement = service.get(session, improvement_id)
            step = work(session, improvement)
            moved = service.move(session, improvement, step, f"workflow:{improvement_id}")
        self._parts.supervisor.wake()
        return moved.state

    def _before(self, improvement: Improvement) -> None:
        """What the present state needs first, outside its transaction; may be repeated."""
        if improvement.state == State.COLLECTING:
            self._gather(improvement)
        elif improvement.state == State.TUNING:
            self._parts.supervisor.wait(improvement.tune_run_id, _WAIT_SECONDS)
        elif improvement.state == State.GATING:
            self._parts.supervisor.wait(improvement.gate_run_id, _WAIT_SECONDS)

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
        names = (request.dataset, request.dataset + TEST_SUFFIX)
        found = [pin for name in names if (pin := _newest(session, name, project))]
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
        report = gates.latest_report(session, stack.digest)
        if report is None or not report.passed:
            return Step("fail", {}, "The gates were not passed.")
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
        )
        return Step("roll_out", {"rollout_id": rollout.id})


def _newest(session: Session, name: str, project_id: str) -> DatasetPin | None:
    try:
        return datasets.show(session, name, project_id).latest.pin
    except DatasetMissing:
        return None


def _why(run: Run) -> str:
    message = (run.error or {}).get("message", "")
    return f"The {run.kind} run ended as {run.state.value}. {message}".strip()
