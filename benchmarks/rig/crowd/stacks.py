"""A crowd's stacks with the runs, reports, releases and improvements that go with them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from benchmarks.rig.crowd.learned import Version
from benchmarks.rig.crowd.rows import ACTOR, MINUTE_MS, Values
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.gates.report import GateReport, RuleResult, Verdict, WorstExample
from dizuo.gates.rules import (
    AgreementWithTrained,
    AtLeast,
    DropAtMost,
    LatencyAtMost,
    NotWorseThanIncumbent,
    Rule,
)
from dizuo.improvements.model import ImprovementRequest, State
from dizuo.releases.model import ReleaseState

NUM_BASES = 10
NUM_INDUSTRIES = 90
NUM_DONE, NUM_WAITING, NUM_AWAITING_REVIEW = 300, 30, 10
"""Improvements in each state; one more is rolling out."""
APPROVER = "person:ann"
SUITE = "tickets@1"
TARGET = "gguf-q4_0"
_NUM_SITES_ASKED = 24
_NEVER = 1_000_000
_RULES: tuple[Rule, ...] = (
    AtLeast(SUITE, "exact_match", 0.85),
    NotWorseThanIncumbent(SUITE, "exact_match"),
    DropAtMost(SUITE, "exact_match", 0.02),
    AgreementWithTrained(TARGET, 0.95),
    LatencyAtMost(TARGET, 400),
)
_METHOD = "{kind: lora, rank: 8, epochs: 3, learning_rate: 0.001}"
_TASKS = (
    "{kind: extract, schema: {type: object, additionalProperties: false, required: [kind], "
    "properties: {kind: {enum: [a, b, c, d]}}}}",
    "{kind: answer, max_tokens: 16, system: Answer in one word.}",
)
"""What scenarios are asked for, in turn: an object, and a text."""


def stacks(num_stacks: int, versions: Sequence[Version], draw: random.Random) -> Iterator[Values]:
    """Bases, industries on them, and scenarios on those, several versions of each scenario."""
    levels: dict[str, list[Values]] = {"L0": [], "L1": [], "L2": []}
    now = now_ms()
    for number in range(num_stacks):
        parent = None
        if number < NUM_BASES:
            level, name = "L0", f"base-{number:02}"
        elif number < NUM_BASES + NUM_INDUSTRIES:
            level, name, parent = "L1", f"industry-{number:03}", draw.choice(levels["L0"])
        else:
            level, name, parent = "L2", f"scenario-{number // 3:04}", draw.choice(levels["L1"])
        made_ms = now - (num_stacks - number) * MINUTE_MS
        stack = _stack(number, level, name, made_ms)
        if parent is not None:
            learned = draw.choice(versions)
            stack |= {
                "parent_digest": parent["digest"],
                "datasets": [learned.used],
                "recipe": _recipe(number, stack, parent, learned.ref),
            }
        levels[level].append(stack)
        yield stack


def _stack(number: int, level: str, name: str, created_ms: int) -> Values:
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "name": name,
        "version": number % 3 + 1 if level == "L2" else 1,
        "level": level,
        "family": "text",
        "digest": sha256_bytes(f"stack {number}".encode()),
        "index_size_bytes": 1000,
        "targets": ["safetensors", TARGET],
        "parent_digest": None,
        "input_digest": sha256_bytes(f"input {number}".encode()),
        "run_id": new_id(),
        "recipe": "",
        "datasets": [],
        "bytes_total": 300_000_000,
        "bytes_added": 10_000_000,
        "created_ms": created_ms,
        "released_ms": created_ms + 1000 if number % 5 else None,
    }


def _recipe(number: int, stack: Values, parent: Values, learned: str) -> str:
    return (
        f"name: {stack['name']}\nlevel: {stack['level']}\nfamily: text\n"
        f"from: {parent['name']}:{parent['version']}\ndata: {{train: {learned}}}\n"
        f"method: {_METHOD}\ntask: {_TASKS[number % 2]}\n"
        f"gates:\n  - {{suite: {SUITE}, metric: exact_match, at_least: 0.85}}\n"
        f"targets: [safetensors, {TARGET}]\n"
    )


def ref(stack: Values) -> str:
    """`name:version`."""
    return f"{stack['name']}:{stack['version']}"


def tune(stack: Values) -> Values:
    """The run that made a stack."""
    outcome = {"stack": ref(stack), "digest": stack["digest"]}
    spec = {"recipe": stack["recipe"], "project": DEFAULT_PROJECT}
    return _run(stack["run_id"], "tune", spec, outcome, stack["created_ms"])


def gating(stack: Values, report: Values) -> Values:
    """The run that measured a stack."""
    outcome = {
        "stack": ref(stack),
        "digest": stack["digest"],
        "passed": report["passed"],
        "report": report["digest"],
    }
    spec = {"stack": ref(stack), "project": DEFAULT_PROJECT}
    return _run(report["run_id"], "gate", spec, outcome, report["created_ms"])


def _run(run_id: str, kind: str, spec: Values, outcome: Values, finished_ms: int) -> Values:
    return {
        "id": run_id,
        "project_id": DEFAULT_PROJECT,
        "kind": kind,
        "key": run_id,
        "spec": spec,
        "actor": ACTOR,
        "state": "succeeded",
        "fence": 1,
        "num_lost": 0,
        "cached": False,
        "outcome": outcome,
        "error": None,
        "lease_ms": None,
        "cancel_ms": None,
        "created_ms": finished_ms - 60_000,
        "started_ms": finished_ms - 50_000,
        "finished_ms": finished_ms,
    }


def report(stack: Values, worst: Sequence[WorstExample], draw: random.Random) -> Values:
    """What came of a stack's gates; one in seven did not pass."""
    passed = draw.randrange(7) > 0
    results = [
        _result(rule, place > 0 or passed, tuple(worst) if place == 0 else (), draw)
        for place, rule in enumerate(_RULES)
    ]
    made = GateReport(
        ref(stack), stack["digest"], "text", 0, stack["created_ms"], {}, tuple(results)
    )
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "stack_digest": stack["digest"],
        "digest": made.digest,
        "passed": made.passed,
        "run_id": new_id(),
        "report": made.as_dict(),
        "created_ms": stack["created_ms"] + 500,
    }


def _result(
    rule: Rule, passed: bool, worst: tuple[WorstExample, ...], draw: random.Random
) -> RuleResult:
    measured = 0.8 + 0.15 * draw.random()
    return RuleResult(
        rule=rule.as_dict(),
        sentence=rule.sentence(),
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        reason=f"exact_match is {measured:.3f}",
        target=TARGET,
        measured=measured,
        low=measured - 0.03,
        high=measured + 0.03,
        confidence=0.95,
        num_rows=500,
        worst=worst,
    )


def release(stack: Values) -> Values:
    """The signature of a stack that is released."""
    kept = ("project_id", "name", "version", "digest", "family", "level", "targets")
    return {
        **{name: stack[name] for name in kept},
        "id": new_id(),
        "size_bytes": stack["index_size_bytes"],
        "state": ReleaseState.SIGNED.value,
        "actor": ACTOR,
        "created_ms": stack["released_ms"],
        "withdrawn_ms": None,
    }


def improvement(
    state: State, stack: Values, sites: Sequence[Values], draw: random.Random, **made: str
) -> Values:
    """One that asks for `stack` at some of the sites, and has come as far as `state`, with what
    its steps made of it beside the stack and its data."""
    chosen = draw.sample(sites, min(_NUM_SITES_ASKED, len(sites)))
    [learned] = stack["datasets"]
    asked = ImprovementRequest(
        recipe=stack["recipe"],
        dataset=learned["name"],
        family="text",
        sites=tuple(sorted(site["name"] for site in chosen)),
        served_as=stack["name"],
        min_samples=_NEVER if state is State.AWAITING_REVIEW else 1,
    )
    if state is not State.AWAITING_REVIEW:
        made |= {"stack": ref(stack), "recipe_used": stack["recipe"]}
        made |= {"tune_run_id": stack["run_id"]}
    learned_from = [f"{learned['name']}@{learned['version']}"] if made else []
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "state": state.value,
        "request": asdict(asked),
        "needs_approval": True,
        "actor": ACTOR,
        "created_ms": stack["created_ms"] - 60_000,
        "updated_ms": stack["created_ms"],
        "made": {**made, "dataset_versions": learned_from},
        "reason": "",
    }
