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
        actor = f"workflow:{improvement_id}"
        try:
            self._wait(improvement)
            with self._parts.database.transaction() as session:
                improvement = service.get(session, improvement_id)
                step = self._work[improvement.state](session, improvement)
                return service.move(session, improvement, step, actor).state
        except DizuoError as error:
            if error.retryable:
                raise
            return self._fail(improvement_id, str(error), actor)

    def _fail(self, improvement_id: str, reason: str, actor: str) -> State:
        with self._parts.database.transaction() as session:
            improvement = service.get(session, improvement_id)
            return service.move(session, improvement, Step("fail", {}, reason), actor).state

    def _wait(self, improvement: Improvement) -> None:
        """Wait outside any transaction for the run that the present state depends on."""
        run_id = {
            State.TUNING: improvement.tune_run_id,
            State.GATING: improvement.gate_run_id,
        }.get(improvement.state)
        if run_id:
            self._parts.supervisor.wait(run_id, _WAIT_SECONDS)

    def _collect(self, session: Session, improvement: Improvement) -> Step:
        request = improvement.request
        versions = collect_labels(session, self._parts.home, improvement)
        recipe = repin(request.recipe, versions)
        parse_recipe(recipe, "recipe")
        run = runs.submit(
            session,
            "tune",
            {"recipe": recipe, "project": improvement.project_id, "no_cache": False},
            f"improvement:{improvement.id}:tune",
            improvement.actor,
        )
        made = {
            "dataset_versions": [f"{name}@{number}" for name, number in versions.items()],
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


def _why(run: Run) -> str:
    message = (run.error or {}).get("message", "")
    return f"The {run.kind} run ended as {run.state.value}. {message}".strip()
