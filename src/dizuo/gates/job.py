"""What gating is given, and what it needs to measure for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dizuo.artifacts.model import StackFiles
from dizuo.datasets.model import DatasetPin
from dizuo.gates.rules import (
    TRAINED_TARGET,
    AgreementWithTrained,
    AtLeast,
    DropAtMost,
    LatencyAtMost,
    NotWorseThanIncumbent,
    Rule,
)

SUITE_RULES = (AtLeast, NotWorseThanIncumbent, DropAtMost)
"""The rules that are measured on a suite."""


class Side(StrEnum):
    """Whose answers a rule looks at."""

    CANDIDATE = "candidate"
    INCUMBENT = "incumbent"
    PARENT = "parent"


@dataclass(frozen=True, slots=True)
class GateJob:
    """One stack to be gated.

    Attributes:
        stack: how people call it, `name:version`.
        stack_digest: what the report will be about.
        candidate: the stack in each of its targets, in the recipe's order, `safetensors` included
            where a rule asks for agreement with the trained model.
        incumbent: the newest released version in the targets it has; None if nothing is released.
        parent: the stack below in the targets it has; None for an L0.
        suites: the pins that rules name, by `name@version`; one that is missing cannot be measured.
        seed: makes the resamples.
        threads: how many an engine may use.
    """

    stack: str
    stack_digest: str
    family: str
    rules: tuple[Rule, ...]
    candidate: Mapping[str, StackFiles]
    incumbent: Mapping[str, StackFiles] | None = None
    parent: Mapping[str, StackFiles] | None = None
    suites: Mapping[str, DatasetPin] | None = None
    seed: int = 0
    threads: int = 1

    @property
    def shipped_target(self) -> str:
        """The first target that ships, or an empty text if there is none."""
        return next((target for target in self.candidate if target != TRAINED_TARGET), "")

    def target_of(self, rule: Rule) -> str:
        """The target that a rule is measured on."""
        return rule.target or self.shipped_target

    def files(self, side: Side) -> Mapping[str, StackFiles] | None:
        """The stack on one side of a comparison."""
        sides = {
            Side.CANDIDATE: self.candidate,
            Side.INCUMBENT: self.incumbent,
            Side.PARENT: self.parent,
        }
        return sides[side]

    @property
    def is_incumbent(self) -> bool:
        """Whether the candidate itself is the newest released version."""
        released = self.incumbent or {}
        return any(files.digest == self.stack_digest for files in released.values())


@dataclass(frozen=True, slots=True)
class Visit:
    """Everything to be asked of one engine, so that it is opened once."""

    side: Side
    target: str
    suites: tuple[str, ...] = ()
    agreement: bool = False
    latency: bool = False


def other_side(rule: Rule) -> Side | None:
    """Which stack a rule compares the candidate with, if any."""
    if isinstance(rule, NotWorseThanIncumbent):
        return Side.INCUMBENT
    return Side.PARENT if isinstance(rule, DropAtMost) else None


def plan_visits(job: GateJob) -> tuple[Visit, ...]:
    """The engines to open and what to ask of each, for all rules of a job."""
    places: dict[tuple[Side, str], list[Rule]] = {}
    for rule in job.rules:
        target = job.target_of(rule)
        places.setdefault((Side.CANDIDATE, target), []).append(rule)
        side = other_side(rule)
        if side is not None and job.files(side) is not None:
            places.setdefault((side, target), []).append(rule)
    return tuple(_visit(side, target, rules) for (side, target), rules in places.items())


def _visit(side: Side, target: str, rules: Iterable[Rule]) -> Visit:
    suites = dict.fromkeys(rule.suite for rule in rules if isinstance(rule, SUITE_RULES))
    return Visit(
        side=side,
        target=target,
        suites=tuple(suites),
        agreement=any(isinstance(rule, AgreementWithTrained) for rule in rules),
        latency=any(isinstance(rule, LatencyAtMost) for rule in rules),
    )
