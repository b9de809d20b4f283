"""Asking exported stacks: every engine is opened anew, on a base that nothing has trained.

What cannot be measured becomes a `CannotMeasure` in the place of its value, so that one broken
suite or engine costs only the rules that need it.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from typing import Any, TypeVar, cast

from dizuo.artifacts.model import StackFiles
from dizuo.core.digests import canonical_json, sha256_bytes
from dizuo.core.errors import DizuoError
from dizuo.core.progress import Progress, Reporter
from dizuo.datasets.model import StoredRow
from dizuo.datasets.table import iterate_rows
from dizuo.families import registry
from dizuo.families.base import (
    Cancelled,
    Distribution,
    Engine,
    ForeseeingEngine,
    Observation,
)
from dizuo.families.golden import TrainedAnswer, read_golden, read_trained_answers
from dizuo.families.room import require_room
from dizuo.gates.errors import CannotMeasure
from dizuo.gates.fidelity import ComparedRow, compare, fidelity_of, furthest
from dizuo.gates.job import GateJob, Side, Visit, plan_visits
from dizuo.gates.report import ComparedExample, Fidelity
from dizuo.gates.rules import TRAINED_TARGET

BATCH_ROWS = 32
MAX_PROMPT_CHARACTERS = 1000
"""Of a prompt that a report shows."""
NUM_WARM_UP = 10
NUM_TIMED = 100
"""Single-row requests that are timed, after the warm-up."""

_logger = logging.getLogger(__name__)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Suite:
    """A test set: its rows in the order of their digests, and the right answers."""

    digest: str
    rows: tuple[StoredRow, ...]
    truths: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """On how many rows the exported stack answers as the trained one did; how near its
    probabilities are, if the family tells any; and the rows that are furthest from it."""

    num_rows: int
    num_agree: int
    fidelity: Fidelity | None = None
    furthest: tuple[ComparedExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """The 95th percentile of single-row requests, by nearest rank."""

    num_requests: int
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that the rules of a job look at, or why it could not be measured."""

    suites: dict[str, Suite | CannotMeasure] = field(default_factory=dict)
    answers: dict[tuple[Side, str, str], tuple[Observation, ...] | CannotMeasure] = field(
        default_factory=dict
    )
    agreement: dict[str, Agreement | CannotMeasure] = field(default_factory=dict)
    latency: dict[str, Latency | CannotMeasure] = field(default_factory=dict)


def require(value: Value | CannotMeasure) -> Value:
    """What was measured.

    Raises:
        CannotMeasure: it could not be.
    """
    if isinstance(value, CannotMeasure):
        raise value
    return value


@contextmanager
def family_edge(what: str) -> Iterator[None]:
    """The edge of a family's code: whatever it raises becomes `CannotMeasure`.

    Families, and the native engines below them, are other people's code and may raise anything; a
    rule that they break has not passed, and the report must say so.
    """
    try:
        yield
    except (CannotMeasure, Cancelled):
        raise
    except DizuoError as error:
        raise CannotMeasure(f"{what}: {error.message}", next_step=error.next_step) from error
    except Exception as error:
        _logger.exception("%s", what)
        raise CannotMeasure(f"{what}: {type(error).__name__}: {error}"[:500]) from error


def _attempt(measure: Callable[[], Value]) -> Value | CannotMeasure:
    try:
        return measure()
    except CannotMeasure as reason:
        return reason


def measure_all(job: GateJob, report: Reporter, cancelled: Callable[[], bool]) -> Measured:
    """Ask every engine that the rules need.

    Raises:
        Cancelled: `cancelled()` became true.
    """
    measured = Measured()
    for visit in plan_visits(job):
        for suite in visit.suites:
            if suite not in measured.suites:
                report(Progress("suite", message=f"Reading {suite}"))
                measured.suites[suite] = _attempt(partial(_read_suite, job, suite))
        _visit(job, visit, measured, _Watch(report, cancelled))
    return measured


@dataclass(frozen=True, slots=True)
class _Watch:
    """Tells how far a visit is, and stops it."""

    report: Reporter
    cancelled: Callable[[], bool]

    def step(self, visit: Visit, what: str, done: int, total: int) -> None:
        """One batch further."""
        if self.cancelled():
            raise Cancelled
        message = f"{what} by the {visit.side} in {visit.target}"
        self.report(Progress("gate", done, total, "row", message))


def _read_suite(job: GateJob, name: str) -> Suite:
    pin = (job.suites or {}).get(name)
    if pin is None:
        raise CannotMeasure(f"The suite {name} is not there.")
    with family_edge(f"The suite {name} cannot be read"):
        spec = registry.spec(job.family)
        rows = tuple(sorted(iterate_rows(pin), key=lambda row: row.row_digest))
        truths = tuple(spec.truth(row.columns) for row in rows)
        canonical_json(truths)
    if not rows:
        raise CannotMeasure(f"The suite {name} has no rows.")
    return Suite(pin.digest, rows, truths)


def _visit(job: GateJob, visit: Visit, measured: Measured, watch: _Watch) -> None:
    opened = _attempt(lambda: _open(job, visit))
    if isinstance(opened, CannotMeasure):
        _note_for_all(visit, measured, opened)
        return
    engine, name = opened
    try:
        _ask(_Asked(job, visit, engine, name, watch), measured)
    finally:
        _attempt(lambda: _close(engine))


def _open(job: GateJob, visit: Visit) -> tuple[Engine, str]:
    files = (job.files(visit.side) or {}).get(visit.target)
    if files is None:
        where = f"the target {visit.target}" if visit.target else "any target that ships"
        raise CannotMeasure(f"The {visit.side} is not there in {where}.")
    with family_edge(f"The {visit.side} cannot be loaded in {visit.target}"):
        stacks = {files.name: files}
        require_room(job.family, stacks)
        return registry.runtime(job.family).open_engine(stacks, threads=job.threads), files.name


def _close(engine: Engine) -> None:
    with family_edge("The engine did not close"):
        engine.close()


def _note_for_all(visit: Visit, measured: Measured, reason: CannotMeasure) -> None:
    for suite in visit.suites:
        measured.answers[visit.side, visit.target, suite] = reason
    if visit.agreement:
        measured.agreement[visit.target] = reason
    if visit.latency:
        measured.latency[visit.target] = reason


@dataclass(frozen=True, slots=True)
class _Asked:
    """An open engine and what it is asked for."""

    job: GateJob
    visit: Visit
    engine: Engine
    name: str
    watch: _Watch

    def infer(self, request: Mapping[str, Any], num_rows: int) -> tuple[Observation, ...]:
        """One request's observations, one for each of its rows.

        Raises:
            CannotMeasure: the engine failed, answered another number of rows, or said something
                that is not JSON (a confidence that is not a number is not).
        """
        with family_edge(f"The {self.visit.side} failed in {self.visit.target}"):
            observations = self.engine.infer(self.name, request).observations
            canonical_json([[seen.answer, seen.confidence] for seen in observations])
        if len(observations) != num_rows:
            raise CannotMeasure(
                f"The {self.visit.side} answered {len(observations)} rows of {num_rows}."
            )
        return observations

    def expect(self, request: Mapping[str, Any], taken: Sequence[int]) -> Distribution:
        """What the engine expects next.

        Raises:
            CannotMeasure: the engine failed, or told something that is no distribution.
            Cancelled: `cancelled()` became true.
        """
        if self.watch.cancelled():
            raise Cancelled
        engine = cast(ForeseeingEngine, self.engine)
        with family_edge(f"The {self.visit.side} failed in {self.visit.target}"):
            told = engine.expect(self.name, request, taken)
            numbers = zip(told.outcomes, told.logprobs, strict=True)
            if not told.outcomes or not all(-math.inf <= one <= 0 for _, one in numbers):
                raise CannotMeasure("The engine told something that is no distribution.")
        return told


def _ask(asked: _Asked, measured: Measured) -> None:
    visit = asked.visit
    if visit.latency:
        measured.latency[visit.target] = _attempt(lambda: _time(asked))
    if visit.agreement:
        measured.agreement[visit.target] = _attempt(lambda: _compare_with_trained(asked))
    for name in visit.suites:
        key = (visit.side, visit.target, name)
        measured.answers[key] = _attempt(partial(_answer, asked, measured.suites[name]))


def _answer(asked: _Asked, read: Suite | CannotMeasure) -> tuple[Observation, ...]:
    suite = require(read)
    spec = registry.spec(asked.job.family)
    found: list[Observation] = []
    for start in range(0, len(suite.rows), BATCH_ROWS):
        asked.watch.step(asked.visit, "Answers", start, len(suite.rows))
        rows = [row.columns for row in suite.rows[start : start + BATCH_ROWS]]
        with family_edge("The suite cannot be asked"):
            request = spec.request(rows)
        found.extend(asked.infer(request, len(rows)))
    return tuple(found)


def _only_form(asked: _Asked) -> StackFiles | None:
    """The form of a stack that was imported in one alone, which then holds the answers it gave."""
    forms = asked.job.candidate
    return forms[asked.visit.target] if set(forms) == {asked.visit.target} else None


def _compare_with_trained(asked: _Asked) -> Agreement:
    trained = asked.job.candidate.get(TRAINED_TARGET) or _only_form(asked)
    if trained is None:
        raise CannotMeasure(f"The stack is not there in {TRAINED_TARGET}, as it was trained.")
    with family_edge("The trained model's answers cannot be read"):
        expected = read_trained_answers(trained.top.directory)
    _require_choices(asked, expected)
    rows = []
    for index, row in enumerate(expected):
        asked.watch.step(asked.visit, "Agreement", index, len(expected))
        rows.append(_compared(asked, row))
    num_agree = sum(row.agrees for row in rows)
    fidelity = fidelity_of([choice for row in rows for choice in row.choices])
    return Agreement(len(rows), num_agree, fidelity, furthest(rows))


def _require_choices(asked: _Asked, expected: Sequence[TrainedAnswer]) -> None:
    """See that probabilities can be compared on every row, where one of the two tells any.

    A stack that came in one form alone is that form, so there are no others to compare.
    """
    if TRAINED_TARGET not in asked.job.candidate:
        return
    told = sum(bool(row.choices) for row in expected)
    foresees = hasattr(asked.engine, "expect")
    if foresees and told < len(expected):
        raise CannotMeasure(
            f"{len(expected) - told} of the trained model's {len(expected)} answers come without"
            " the probabilities of their choices; build the layer again."
        )
    if told and not foresees:
        raise CannotMeasure(f"The engine of {asked.visit.target} tells no probabilities.")


def _compared(asked: _Asked, row: TrainedAnswer) -> ComparedRow:
    (observed,) = asked.infer(row.request, 1)
    with family_edge("The answers cannot be compared"):
        said = {"answer": row.answer, "confidence": row.confidence}
        agrees = bool(registry.scorer(asked.job.family).agrees(said, observed))
        prompt = _prompt(registry.spec(asked.job.family).rows(row.request, [0])[0])
    choices, taken = [], list(row.given)
    for trained in row.choices:
        choices.append(compare(trained, asked.expect(row.request, taken)))
        taken.append(trained.outcomes[0])
    return ComparedRow(
        prompt, row.answer, observed.answer, agrees, float(observed.confidence), tuple(choices)
    )


def _prompt(row: Mapping[str, Any]) -> str:
    """The beginning of what a row asks, for people: a text as it is, else JSON in which bytes are
    told by their digest."""
    told = {
        name: sha256_bytes(value) if isinstance(value, bytes) else value
        for name, value in row.items()
    }
    whole = next(iter(told.values())) if len(told) == 1 else told
    text = whole if isinstance(whole, str) else json.dumps(whole, ensure_ascii=False)
    return text if len(text) <= MAX_PROMPT_CHARACTERS else f"{text[:MAX_PROMPT_CHARACTERS]}…"


def _time(asked: _Asked) -> Latency:
    files = asked.job.candidate[asked.visit.target]
    with family_edge("The golden set cannot be read"):
        golden = read_golden(files.top.directory)
    times_ms = []
    for index, row in enumerate(islice(cycle(golden), NUM_WARM_UP + NUM_TIMED)):
        asked.watch.step(asked.visit, "Latency", index, NUM_WARM_UP + NUM_TIMED)
        start = time.perf_counter()
        asked.infer(row.request, 1)
        times_ms.append((time.perf_counter() - start) * 1000)
    return Latency(NUM_TIMED, percentile_95(times_ms[NUM_WARM_UP:]))


def percentile_95(values: Sequence[float]) -> float:
    """The 95th percentile by nearest rank: at least 95% of the values are at most this one."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
