"""What gating found, for machines and for the database: JSON form 2.

Form 1 is the same without `fidelity` and `furthest`. A report that says nothing there is written in
it, so reports from before keep their digests.

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

REPORT_FORMAT = 2
_FORMAT_WITHOUT_FIDELITY = 1
_SINCE_FORMAT_2 = ("fidelity", "furthest")


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
class Fidelity:
    """How near the exported probabilities are to the trained ones, over `num_choices` next tokens
    or classes; see `dizuo.gates.fidelity`.

    `top1_agreement` is the share of choices with the same likeliest outcome, 0 to 1.
    `mean_kl_nats` is the mean KL divergence, at least 0: a lower bound where not all outcomes are
    listed.
    """

    num_choices: int
    top1_agreement: float
    mean_kl_nats: float


@dataclass(frozen=True, slots=True)
class ComparedExample:
    """A row that the exported stack answers or sees otherwise than the trained one did.

    `prompt` is the beginning of what was asked, `trained` and `exported` are answers (JSON),
    `confidence` is the exported stack's. `agrees` says whether the row counts as agreeing.
    """

    prompt: str
    trained: Any
    exported: Any
    agrees: bool
    confidence: float
    fidelity: Fidelity | None = None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The example of its JSON form."""
        return cls(**{**value, "fidelity": _fidelity(value["fidelity"])})


def _fidelity(value: Mapping[str, Any] | None) -> Fidelity | None:
    return None if value is None else Fidelity(**value)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The measured answer to one rule.

    `rule` is as written in the recipe, `sentence` what it asks for, `reason` what was found. `low`
    and `high` are the ends of the two-sided interval at `confidence` around `measured`, which is a
    score, a difference to the stack `against`, a share of rows that agree, or milliseconds.
    `fidelity` and `furthest` belong to agreement with the trained stack: its figures, and the rows
    that are furthest from it, the worst first.
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
    fidelity: Fidelity | None = None
    furthest: tuple[ComparedExample, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the rule was met."""
        return self.verdict is Verdict.PASS

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The result of its JSON form."""
        verdict = Verdict(value["verdict"])
        worst = tuple(WorstExample(**example) for example in value["worst"])
        furthest = tuple(ComparedExample.from_dict(one) for one in value.get("furthest", ()))
        told = {
            "verdict": verdict,
            "worst": worst,
            "fidelity": _fidelity(value.get("fidelity")),
            "furthest": furthest,
        }
        return cls(**{**value, **told})


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
        written = {"format": REPORT_FORMAT, "passed": self.passed, **asdict(self)}
        if not any(rule.fidelity or rule.furthest for rule in self.rules):
            written["format"] = _FORMAT_WITHOUT_FIDELITY
            for rule in written["rules"]:
                for key in _SINCE_FORMAT_2:
                    del rule[key]
        return written

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The report of its JSON form.

        Raises:
            ReportDamaged: it is not form 1 or 2, or says it passed where its rules did not.
        """
        try:
            fields = dict(value)
            form, passed = fields.pop("format"), fields.pop("passed")
            fields["rules"] = tuple(RuleResult.from_dict(rule) for rule in fields["rules"])
            report = cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ReportDamaged("A gate report cannot be read.") from error
        if form != report.as_dict()["format"] or passed is not report.passed:
            raise ReportDamaged("A gate report is of another form, or does not follow its rules.")
        return report
