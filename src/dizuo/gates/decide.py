"""Deciding: measured values in, a verdict and its reason out. No I/O, no engine, no clock.

Three outcomes, and only one of them passes: the claim is shown, the opposite is shown, or the rows
cannot tell. `at_least` and `drop_at_most` without a confidence are thresholds on what was measured
(the reader of the recipe sees the same figure in the report), so they always tell.
"""

from __future__ import annotations

from dizuo.gates.bootstrap import Interval
from dizuo.gates.measure import Agreement, Latency
from dizuo.gates.report import Fidelity, Verdict
from dizuo.gates.rules import (
    AgreementWithTrained,
    AtLeast,
    DropAtMost,
    LatencyAtMost,
    NotWorseThanIncumbent,
)

_ROUNDING = 1e-9
"""Far below one row of any suite: 0.92 - 0.90 must not fail against 0.02 in binary."""

Decision = tuple[Verdict, str]


def claim(low: float, high: float, threshold: float) -> Verdict:
    """Whether a value that lies from `low` to `high` is at least `threshold`."""
    if low >= threshold - _ROUNDING:
        return Verdict.PASS
    return Verdict.FAIL if high < threshold - _ROUNDING else Verdict.CANNOT_TELL


def decide_at_least(rule: AtLeast, score: Interval) -> Decision:
    """Whether the score reaches the threshold."""
    verdict = _claim(rule.confidence, score, rule.threshold)
    return verdict, f"{score.point:.4g} ({_range(score)}).{_more_rows(verdict, score)}"


def decide_drop(rule: DropAtMost, difference: Interval, parent: str) -> Decision:
    """Whether the difference (this stack minus its parent) is above minus the limit.

    The point decides unless the rule has a confidence: the drop is a tolerance on what is measured
    on this suite, like `at_least`. Asking for a bound by default would refuse a child that answers
    exactly as its parent does on any suite too short to exclude a drop of that size.
    """
    verdict = _claim(rule.confidence, difference, -rule.limit)
    return verdict, _against(difference, parent) + _more_rows(verdict, difference)


def decide_not_worse(rule: NotWorseThanIncumbent, difference: Interval, incumbent: str) -> Decision:
    """Non-inferiority: passes if even the lower bound of the difference is within the margin, fails
    if even the upper bound is not."""
    verdict = claim(difference.low, difference.high, -rule.margin)
    return verdict, _against(difference, incumbent) + _more_rows(verdict, difference)


def decide_agreement(rule: AgreementWithTrained, found: Agreement) -> Decision:
    """Whether the share of rows that agree reaches the threshold."""
    share = found.num_agree / found.num_rows
    verdict = claim(share, share, rule.threshold)
    agree = f"{found.num_agree} of {found.num_rows} answers agree ({share:.1%})."
    return verdict, agree + (_choices(found.fidelity) if found.fidelity else "")


def _choices(fidelity: Fidelity) -> str:
    return (
        f" Of {fidelity.num_choices} choices {fidelity.top1_agreement:.1%} have the same likeliest"
        f" outcome; KL divergence {fidelity.mean_kl_nats:.2g} nats."
    )


def decide_latency(rule: LatencyAtMost, found: Latency) -> Decision:
    """Whether the 95th percentile is within the limit."""
    verdict = Verdict.PASS if found.p95_ms <= rule.limit_ms else Verdict.FAIL
    return verdict, f"{found.p95_ms:.2f} ms over {found.num_requests} single requests."


def _claim(confidence: float | None, value: Interval, threshold: float) -> Verdict:
    if confidence is None:
        return claim(value.point, value.point, threshold)
    return claim(value.low, value.high, threshold)


def _range(value: Interval) -> str:
    return (
        f"{value.confidence:.0%} interval {value.low:.4g} to {value.high:.4g},"
        f" {value.num_rows} rows"
    )


def _against(difference: Interval, other: str) -> str:
    if difference.point == 0:
        word = f"The same as {other}"
    elif difference.point > 0:
        word = f"{difference.point:.4g} better than {other}"
    else:
        word = f"{-difference.point:.4g} worse than {other}"
    return f"{word} ({_range(difference)})."


def _more_rows(verdict: Verdict, value: Interval) -> str:
    if verdict is not Verdict.CANNOT_TELL:
        return ""
    return f" {value.num_rows} rows cannot tell; a larger suite could."
