"""What gating found, for machines and for the database: JSON form 1.

`passed` is never stored apart from what it follows from: a report has passed when it has rules and
every one of them passed. What could not be told has not passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from dizuo.core.digests import sha256_json
from dizuo.gates.errors import ReportDamaged

REPORT_FORMAT = 1


class Verdict(StrEnum):
    """What came of a rule."""

    PASS = "pass"
    FAIL = "fail"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class WorstExample:
    """A row that the stack got wrong. `row` is its digest, `answer` and `truth` are JSON."""

    row: str
    source: str
    answer: Any
    truth: Any
    confidence: float


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The measured answer to one rule.

    `rule` is as written in the recipe, `sentence` what it asks for, `reason` what was found. `low`
    and `high` are the ends of the two-sided interval at `confidence` around `measured`, which is a
    score, a difference to the stack `against`, a share of rows that agree, or milliseconds.
    """

    rule: dict[str, Any]
    sentence: str
    verdict: Verdict
    reason: str
    target: str = ""
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    num_rows: int = 0
    suite_digest: str = ""
    against: str = ""
    worst: tuple[WorstExample, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the rule was met."""
        return self.verdict is Verdict.PASS

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The result of its JSON form."""
        verdict = Verdict(value["verdict"])
        worst = tuple(WorstExample(**example) for example in value["worst"])
        return cls(**{**value, "verdict": verdict, "worst": worst})


@dataclass(frozen=True, slots=True)
class GateReport:
    """The answers to all rules of one stack.

    `machine` says where latency was measured; `created_ms` when. `seed` made the resamples, so the
    same answers give the same report.
    """

    stack: str
    stack_digest: str
    family: str
    seed: int
    created_ms: int
    machine: dict[str, Any] = field(default_factory=dict)
    rules: tuple[RuleResult, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there are rules and all of them were met."""
        return bool(self.rules) and all(rule.passed for rule in self.rules)

    @property
    def num_passed(self) -> int:
        """How many rules were met."""
        return sum(rule.passed for rule in self.rules)

    @property
    def digest(self) -> str:
        """The digest of the report."""
        return sha256_json(self.as_dict())

    def summary(self) -> str:
        """One sentence."""
        if not self.rules:
            return f"{self.stack} has no gates, so it has not passed."
        word = "passed" if self.passed else "has not passed"
        return f"{self.stack} {word}: {self.num_passed} of {len(self.rules)} gates were met."

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"format": REPORT_FORMAT, "passed": self.passed, **asdict(self)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The report of its JSON form.

        Raises:
            ReportDamaged: it is not form 1, or says it passed where its rules did not.
        """
        try:
            fields = dict(value)
            form, passed = fields.pop("format"), fields.pop("passed")
            fields["rules"] = tuple(RuleResult.from_dict(rule) for rule in fields["rules"])
            report = cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ReportDamaged("A gate report cannot be read.") from error
        if form != REPORT_FORMAT or passed is not report.passed:
            raise ReportDamaged("A gate report is of another form, or does not follow its rules.")
        return report
