"""What is different between two stack versions: recipe, data, forms, bytes and gate figures."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from dizuo.core.digests import canonical_json
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport, RuleResult
from dizuo.gates.rules import CONDITIONS
from dizuo.stacks.model import StackVersion, UsedDataset

_CONTEXT = 3
"""Equal lines that are shown around those that differ."""
_MEASURES = ("suite", "metric", "target")


class Change(StrEnum):
    """What became of something from one version to the other."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a recipe in one version or both, with its number in each.

    SKIPPED stands for equal lines that are left out.
    """

    change: Change
    text: str = ""
    number_before: int | None = None
    number_after: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetChange:
    """A dataset that one of two versions learned from, and which version of it."""

    use: str
    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class FigureChange:
    """What one rule measured in each of two reports; None where that report has no such rule."""

    rule: Mapping[str, Any]
    before: RuleResult | None
    after: RuleResult | None

    @property
    def difference(self) -> float | None:
        """After minus before, where both were measured."""
        before = self.before.measured if self.before else None
        after = self.after.measured if self.after else None
        return None if before is None or after is None else after - before


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `after` has otherwise than `before`. `recipe` is empty where both have one text."""

    before: StackVersion
    after: StackVersion
    recipe: tuple[Line, ...]
    datasets: tuple[DatasetChange, ...]
    targets: tuple[tuple[str, Change], ...]
    figures: tuple[FigureChange, ...]


def compare(session: Session, before: StackVersion, after: StackVersion) -> Comparison:
    """What is different.

    Raises:
        ReportDamaged: a gate report of one of them cannot be read.
    """
    reports = [
        gates.latest_report(session, one.digest, project_id=one.project_id)
        for one in (before, after)
    ]
    return Comparison(
        before=before,
        after=after,
        recipe=lines_of(before.recipe, after.recipe),
        datasets=tuple(_datasets(before, after)),
        targets=tuple(_targets(before, after)),
        figures=tuple(_figures(reports[0], reports[1])),
    )


def lines_of(before: str, after: str) -> tuple[Line, ...]:
    """Two texts line by line: those that differ with a few around them; none if all are equal."""
    if before == after:
        return ()
    old, new = before.splitlines(), after.splitlines()
    groups = difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT)
    found: list[Line] = []
    last = 0
    for group in groups:
        if group[0][1] > last:
            found.append(Line(Change.SKIPPED))
        for kind, *places in group:
            found.extend(_lines(kind, old, new, places))
        last = group[-1][2]
    if last < len(old):
        found.append(Line(Change.SKIPPED))
    return tuple(found)


def _lines(kind: str, old: list[str], new: list[str], places: list[int]) -> Iterator[Line]:
    start_old, end_old, start_new, end_new = places
    if kind == "equal":
        for step in range(end_old - start_old):
            at, now_at = start_old + step, start_new + step
            yield Line(Change.SAME, old[at], at + 1, now_at + 1)
        return
    for at in range(start_old, end_old):
        yield Line(Change.REMOVED, old[at], number_before=at + 1)
    for at in range(start_new, end_new):
        yield Line(Change.ADDED, new[at], number_after=at + 1)


def _datasets(before: StackVersion, after: StackVersion) -> Iterator[DatasetChange]:
    old, new = _used(before), _used(after)
    for use, name in dict.fromkeys((*old, *new)):
        yield DatasetChange(use, name, _version(old, use, name), _version(new, use, name))


def _used(stack: StackVersion) -> dict[tuple[str, str], UsedDataset]:
    return {(used.use.value, used.name): used for used in stack.datasets}


def _version(used: Mapping[tuple[str, str], UsedDataset], use: str, name: str) -> int | None:
    found = used.get((use, name))
    return found.version if found else None


def _targets(before: StackVersion, after: StackVersion) -> Iterator[tuple[str, Change]]:
    for target in dict.fromkeys((*before.targets, *after.targets)):
        if target not in after.targets:
            yield target, Change.REMOVED
        else:
            yield target, Change.SAME if target in before.targets else Change.ADDED


def _figures(before: GateReport | None, after: GateReport | None) -> Iterator[FigureChange]:
    old, new = _results(before), _results(after)
    for key in dict.fromkeys((*new, *old)):
        result = new.get(key) or old[key]
        yield FigureChange(result.rule, old.get(key), new.get(key))


def _results(report: GateReport | None) -> dict[bytes, RuleResult]:
    """A report's results by their rules, and not by their thresholds: what is measured is the same
    where only these differ."""
    if report is None:
        return {}
    return {_measure(result): result for result in report.rules}


def _measure(result: RuleResult) -> bytes:
    told = {key: result.rule[key] for key in _MEASURES if key in result.rule}
    condition = next((one for one in CONDITIONS if one in result.rule), "")
    return canonical_json([told, condition, result.target])
