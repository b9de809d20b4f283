"""Gating one stack: measure what the rules need, decide each of them, and report.

Scores are taken from exported stacks alone, reloaded on a pristine base. Nothing here passes by
default: a rule that meets something it cannot measure is `cannot_tell`, which has not passed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dizuo.core.clock import now_ms
from dizuo.core.progress import Progress, Reporter
from dizuo.families import registry
from dizuo.families.base import Observation
from dizuo.gates import decide
from dizuo.gates.bootstrap import Interval, wilson
from dizuo.gates.errors import CannotMeasure
from dizuo.gates.job import GateJob, Side
from dizuo.gates.measure import Measured, Suite, family_edge, measure_all, require
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.gates.rules import (
    COMPARISON_CONFIDENCE,
    AgreementWithTrained,
    AtLeast,
    DropAtMost,
    LatencyAtMost,
    NotWorseThanIncumbent,
    Rule,
    SuiteRule,
)
from dizuo.gates.scoring import Metric, difference_interval, score_interval, worst_examples

_PROCESSORS = Path("/proc/cpuinfo")


def never() -> bool:
    """Nobody cancels."""
    return False


def evaluate(
    job: GateJob, report: Reporter, *, cancelled: Callable[[], bool] = never
) -> GateReport:
    """Answer every rule of a job.

    Raises:
        Cancelled: `cancelled()` became true.
    """
    measured = measure_all(job, report, cancelled)
    results = []
    for index, rule in enumerate(job.rules):
        report(Progress("decide", index, len(job.rules), "gate", rule.sentence()))
        results.append(_answer(job, measured, rule))
    return GateReport(
        stack=job.stack,
        stack_digest=job.stack_digest,
        family=job.family,
        seed=job.seed,
        created_ms=now_ms(),
        machine=describe_machine(job.threads),
        rules=tuple(results),
    )


def describe_machine(threads: int) -> dict[str, Any]:
    """Where latency was measured."""
    return {
        "system": platform.platform(),
        "processor": name_processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
    }


def name_processor(listed: Path = _PROCESSORS) -> str:
    """The processor's name where Linux lists one, else its architecture."""
    try:
        lines = listed.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _answer(job: GateJob, measured: Measured, rule: Rule) -> RuleResult:
    blank = RuleResult(
        rule=rule.as_dict(),
        sentence=rule.sentence(),
        verdict=Verdict.CANNOT_TELL,
        reason="",
        target=job.target_of(rule),
    )
    try:
        with family_edge("The answers cannot be scored"):
            if isinstance(rule, AgreementWithTrained):
                return _agreement(rule, measured, blank)
            if isinstance(rule, LatencyAtMost):
                return _latency(rule, measured, blank)
            return _suite_rule(job, measured, rule, blank)
    except CannotMeasure as reason:
        return replace(blank, reason=str(reason))


def _agreement(rule: AgreementWithTrained, measured: Measured, blank: RuleResult) -> RuleResult:
    found = require(measured.agreement[rule.target])
    share = wilson(found.num_agree, found.num_rows, COMPARISON_CONFIDENCE)
    blank = replace(blank, fidelity=found.fidelity, furthest=found.furthest)
    return _decided(blank, decide.decide_agreement(rule, found), share)


def _latency(rule: LatencyAtMost, measured: Measured, blank: RuleResult) -> RuleResult:
    found = require(measured.latency[rule.target])
    verdict, reason = decide.decide_latency(rule, found)
    return replace(
        blank,
        verdict=verdict,
        reason=reason,
        measured=found.p95_ms,
        num_rows=found.num_requests,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A suite, how the candidate answered it, and the metric to look through."""

    metric: Metric
    suite: Suite
    target: str
    seen: tuple[Observation, ...]

    @property
    def answers(self) -> list[Any]:
        """The candidate's answers."""
        return [observation.answer for observation in self.seen]


def _suite_rule(job: GateJob, measured: Measured, rule: SuiteRule, blank: RuleResult) -> RuleResult:
    suite = require(measured.suites[rule.suite])
    target = job.target_of(rule)
    seen = require(measured.answers[Side.CANDIDATE, target, rule.suite])
    asked = _Asked(_metric(job, rule), suite, target, seen)
    blank = replace(
        blank, suite_digest=suite.digest, worst=worst_examples(asked.metric, suite, seen)
    )
    if isinstance(rule, AtLeast):
        score = score_interval(asked.metric, asked.answers, suite.truths)
        return _decided(blank, decide.decide_at_least(rule, score), score)
    if isinstance(rule, NotWorseThanIncumbent):
        return _not_worse(job, measured, rule, asked, blank)
    return _drop(job, measured, rule, asked, blank)


def _metric(job: GateJob, rule: SuiteRule) -> Metric:
    asked = None if isinstance(rule, NotWorseThanIncumbent) else rule.confidence
    confidence = asked or COMPARISON_CONFIDENCE
    return Metric(registry.scorer(job.family), rule.metric, confidence, job.seed)


def _not_worse(
    job: GateJob,
    measured: Measured,
    rule: NotWorseThanIncumbent,
    asked: _Asked,
    blank: RuleResult,
) -> RuleResult:
    if job.incumbent is None:
        reason = "Nothing of this name is released yet, so there is no incumbent to compare with."
        return replace(blank, verdict=Verdict.PASS, reason=reason)
    if job.is_incumbent:
        return replace(blank, verdict=Verdict.PASS, reason="This version is the incumbent itself.")
    other, difference = _difference(job, measured, Side.INCUMBENT, rule.suite, asked)
    blank = replace(blank, against=other)
    return _decided(blank, decide.decide_not_worse(rule, difference, other), difference)


def _drop(
    job: GateJob, measured: Measured, rule: DropAtMost, asked: _Asked, blank: RuleResult
) -> RuleResult:
    if job.parent is None:
        raise CannotMeasure("There is no parent stack to compare with.")
    other, difference = _difference(job, measured, Side.PARENT, rule.suite, asked)
    blank = replace(blank, against=other)
    return _decided(blank, decide.decide_drop(rule, difference, other), difference)


def _difference(
    job: GateJob, measured: Measured, side: Side, suite: str, asked: _Asked
) -> tuple[str, Interval]:
    seen = require(measured.answers[side, asked.target, suite])
    others = [observation.answer for observation in seen]
    files = (job.files(side) or {})[asked.target]
    difference = difference_interval(asked.metric, asked.answers, others, asked.suite.truths)
    return f"{files.name}:{files.version}", difference


def _decided(blank: RuleResult, decision: decide.Decision, value: Interval) -> RuleResult:
    verdict, reason = decision
    return replace(
        blank,
        verdict=verdict,
        reason=reason,
        measured=value.point,
        low=value.low,
        high=value.high,
        confidence=value.confidence,
        num_rows=value.num_rows,
    )
