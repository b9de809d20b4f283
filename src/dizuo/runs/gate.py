"""The kind `gate`: measure a stack version by its recipe's gates, and keep the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.orm import Session

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import StackFiles
from dizuo.artifacts.stacks import unpack
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, Reporter
from dizuo.datasets import service as datasets
from dizuo.datasets.model import DatasetPin
from dizuo.gates import service as gates
from dizuo.gates.evaluate import evaluate
from dizuo.gates.job import SUITE_RULES, GateJob
from dizuo.gates.report import GateReport
from dizuo.gates.rules import (
    TRAINED_TARGET,
    AgreementWithTrained,
    Rule,
    parse_gates,
    with_agreement,
)
from dizuo.runs.building import RunSpec, parse_spec
from dizuo.runs.kinds import RunContext, Workspace
from dizuo.runs.model import Run
from dizuo.stacks import service as stacks
from dizuo.stacks.model import StackVersion
from dizuo.stacks.naming import find_stack
from dizuo.stacks.recipe import DEFAULT_SEED, parse_recipe


class GateSpec(RunSpec):
    """`stack` is a reference: `name`, `name:version`, `name@sha256:…`; or a digest."""

    stack: Annotated[str, Field(min_length=1, max_length=400)]


class GateKind:
    """Satisfies `dizuo.runs.kinds.Kind`. Never says that its outcome is there already: latency
    and the incumbent may have changed."""

    name = "gate"

    def check(self, _context: RunContext, session: Session, spec: Mapping[str, Any]) -> None:
        """See that the stack is there and has gates.

        Raises:
            InvalidInput: the spec is wrong, or the stack has no gates.
            StackNotFound: there is no such stack.
        """
        _find(session, spec)

    def prepare(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The stack, those it is compared with, the rules and the pins of the suites.

        Raises:
            StackNotFound, DatasetMissing: something is no longer there.
        """
        gated = _find(session, spec)
        stack, project = gated.stack, gated.stack.project_id
        parent = stacks.get_by_digest(session, stack.parent_digest) if stack.parent_digest else None
        incumbent = stacks.incumbent(session, stack.name, project_id=project)
        suites = sorted({rule.suite for rule in gated.rules if isinstance(rule, SUITE_RULES)})
        pins = {text: datasets.pin(session, text, project=project).as_dict() for text in suites}
        return {
            "layout": str(context.layout.root),
            "stack": stack.ref,
            "family": stack.family,
            "rules": [rule.as_dict() for rule in gated.rules],
            "candidate": _place(stack),
            "parent": _place(parent) if parent else None,
            "incumbent": _place(incumbent) if incumbent else None,
            "suites": pins,
            "seed": gated.seed,
        }

    def work(
        self,
        job: Mapping[str, Any],
        workspace: Workspace,
        report: Reporter,
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        """Unpack what the rules are measured on, and measure.

        Raises:
            Cancelled: somebody asked to stop.
            BlobMissing, BlobCorrupt: a stack is damaged.
        """
        rules, problems = parse_gates(job["rules"])
        if problems:
            raise InvalidInput(problems[0].message, next_step=problems[0].next_step)
        needs = _Needs(rules, tuple(job["candidate"]["targets"]))
        report(Progress("unpack", message=job["stack"]))
        unpacked = {
            side: _unpack(job, side, needs.of(side), workspace.scratch)
            for side in ("candidate", "parent", "incumbent")
        }
        candidate = unpacked["candidate"]
        assert candidate is not None
        gate_job = GateJob(
            stack=job["stack"],
            stack_digest=job["candidate"]["digest"],
            family=job["family"],
            rules=rules,
            candidate=candidate,
            incumbent=unpacked["incumbent"],
            parent=unpacked["parent"],
            suites={text: DatasetPin.from_dict(pin) for text, pin in job["suites"].items()},
            seed=job["seed"],
        )
        return {"report": evaluate(gate_job, report, cancelled=cancelled).as_dict()}

    def finish(
        self, _context: RunContext, session: Session, run: Run, result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Keep the report. A report that did not pass is a success of the run: it was measured.

        Raises:
            ReportDamaged: the worker left something that is no report.
        """
        report = GateReport.from_dict(result["report"])
        stored = gates.save_report(
            session,
            report.stack_digest,
            report,
            actor=run.actor,
            run_id=run.id,
            project_id=run.project_id,
        )
        return {
            "stack": report.stack,
            "digest": report.stack_digest,
            "passed": report.passed,
            "report": stored.digest,
            "summary": report.summary(),
        }


@dataclass(frozen=True, slots=True)
class _Needs:
    """Which targets the rules are measured on. `offered` are the candidate's, in order."""

    rules: Sequence[Rule]
    offered: tuple[str, ...]

    def of(self, side: str) -> tuple[str, ...]:
        """The targets to unpack of one side. The trained form serves only to say which answers the
        candidate must agree with."""
        wanted = {rule.target or self._shipped() for rule in self.rules}
        if side == "candidate" and any(isinstance(r, AgreementWithTrained) for r in self.rules):
            wanted.add(TRAINED_TARGET)
        return tuple(target for target in self.offered if target in wanted)

    def _shipped(self) -> str:
        return next((target for target in self.offered if target != TRAINED_TARGET), "")


@dataclass(frozen=True, slots=True)
class _Gated:
    """A stack and what it must meet. A model that was imported has no recipe: its gates are that
    each form that ships answers as the model did when it came in."""

    stack: StackVersion
    rules: tuple[Rule, ...]
    seed: int = DEFAULT_SEED


def _find(session: Session, spec: Mapping[str, Any]) -> _Gated:
    asked = parse_spec(GateSpec, spec)
    stack = find_stack(session, asked.stack, project_id=asked.project)
    recipe = (
        parse_recipe(stack.recipe, stack.ref, project_id=stack.project_id) if stack.recipe else None
    )
    found = _Gated(stack, with_agreement((), stack.targets))
    if recipe is not None:
        rules = with_agreement(recipe.gates, stack.targets) if recipe.gates else ()
        found = _Gated(stack, rules, recipe.seed)
    if not found.rules:
        raise InvalidInput(
            f"{stack.ref} has no gates.",
            next_step="Gates are part of a recipe; build a stack with some on top of it.",
        )
    return found


def _place(stack: StackVersion) -> dict[str, Any]:
    return {"digest": stack.digest, "targets": list(stack.targets)}


def _unpack(
    job: Mapping[str, Any], side: str, wanted: Sequence[str], scratch: Path
) -> dict[str, StackFiles] | None:
    place = job[side]
    if place is None:
        return None
    layout = Layout(Path(job["layout"]))
    return {
        target: unpack(layout, place["digest"], target, scratch / side / target)
        for target in wanted
        if target in place["targets"]
    }


KIND = GateKind()
