"""A gate report on a page: each rule in words, what was measured, and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, Column, badge, join, link, table, tag
from dizuo.console.elements.telling import number, when
from dizuo.console.messages import Words
from dizuo.console.sentences import spoken
from dizuo.core.clock import now_ms
from dizuo.gates.report import Fidelity, GateReport, RuleResult, Verdict
from dizuo.gates.rules import CONDITIONS
from dizuo.gates.store import StoredReport

_TONES = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.CANNOT_TELL: "warn"}
_WIDTH, _HEIGHT, _MARGIN = 132.0, 24.0, 6.0
_LATENCY = "p95_latency_ms_at_most"
_AGREEMENT = "agreement_with_trained_at_least"
_DIFFERENCES = ("not_worse_than", "drop_at_most")


def verdict_badge(words: Words, verdict: Verdict) -> Markup:
    """What came of one rule."""
    return badge(words(f"verdict.{verdict.value}"), _TONES[verdict])


def report_panel(words: Words, stored: StoredReport) -> Markup:
    """The report: its verdict, its rules, and where latency was measured."""
    report = stored.report
    rules = table(
        [
            Column(words("gates.rule")),
            Column(words("gates.verdict")),
            Column(words("gates.measured"), is_number=True),
            Column(words("gates.threshold"), is_number=True),
            Column(words("gates.interval"), is_number=True),
            Column(words("gates.picture")),
            Column(words("gates.rows"), is_number=True),
        ],
        [_row(words, result) for result in report.rules],
        words("gates.rules"),
    )
    return join(
        [_summary(words, stored), rules if report.rules else EMPTY, _machine(words, report)]
    )


def _summary(words: Words, stored: StoredReport) -> Markup:
    report = stored.report
    key = "none" if not report.rules else "passed" if report.passed else "failed"
    sentence = words(
        f"gates.summary_{key}",
        stack=report.stack,
        passed=number(report.num_passed),
        all=number(len(report.rules)),
    )
    made = join([" ", words("gates.measured_when"), " ", when(words, stored.created_ms, now_ms())])
    run = link(words("gates.run"), f"/runs/{stored.run_id}") if stored.run_id else EMPTY
    tone = "good" if report.passed else "bad"
    told = tag("strong", sentence, class_=f"tone-{tone}")
    return tag("p", told, tag("span", made, " · ", run, class_="muted"), class_="linked")


def _machine(words: Words, report: GateReport) -> Markup:
    told = [str(report.machine[key]) for key in ("processor", "system") if key in report.machine]
    if not told:
        return EMPTY
    if "cores" in report.machine:
        told.insert(1, words("gates.cores", count=report.machine["cores"]))
    return tag("p", words("gates.machine"), " ", ", ".join(told), class_="muted small")


def _row(words: Words, result: RuleResult) -> tuple[object, ...]:
    verdict = verdict_badge(words, result.verdict)
    if result.verdict is Verdict.CANNOT_TELL or result.measured is None:
        verdict = join([verdict, tag("p", spoken(words, result.reason), class_="muted small")])
    asked = limit_of(result.rule)
    return (
        _rule(words, result),
        verdict,
        measured_text(result, result.measured),
        "–" if asked is None else f"{asked.sign} {measured_text(result, asked.value)}",
        _interval(words, result),
        interval_picture(words, result),
        number(result.num_rows) if result.num_rows else "–",
    )


def _rule(words: Words, result: RuleResult) -> Markup:
    against = words("gates.against", stack=result.against) if result.against else None
    told = [one for one in (result.target, against) if one]
    where = tag("p", " · ".join(told), class_="muted small") if told else EMPTY
    return join([rule_sentence(words, result), where])


def rule_sentence(words: Words, result: RuleResult) -> str:
    """What a rule asks for, in the reader's language; as the report has it where it is of a kind
    that the catalogue does not know."""
    rule = result.rule
    condition = next((one for one in CONDITIONS if one in rule), "")
    asked = limit_of(rule)
    if asked is None:
        return spoken(words, result.sentence)
    limit = measured_text(result, abs(asked.value)).lstrip("+")
    parts = {key: str(rule.get(key, "")) for key in ("suite", "metric", "target")}
    sentence = words(f"rule.{condition}", limit=limit, **parts)
    if rule.get("confidence"):
        sentence += words("rule.confidence", share=f"{rule['confidence']:.0%}")
    return sentence


@dataclass(frozen=True, slots=True)
class Limit:
    """Where what is measured begins to be enough: at least, or at most, this."""

    sign: str
    value: float


def limit_of(rule: Mapping[str, Any]) -> Limit | None:
    """A rule's limit on the scale of what it measures; None for a rule of no known kind."""
    for key in ("at_least", _AGREEMENT):
        if key in rule:
            return Limit("≥", float(rule[key]))
    if "drop_at_most" in rule:
        return Limit("≥", -float(rule["drop_at_most"]))
    if "not_worse_than" in rule:
        return Limit("≥", -float(rule.get("margin", 0.0)))
    return Limit("≤", float(rule[_LATENCY])) if _LATENCY in rule else None


def measured_text(result: RuleResult, value: float | None) -> str:
    """A figure of a rule, in its unit: a score, a difference with its sign, a share, or time."""
    if value is None:
        return "–"
    if _LATENCY in result.rule:
        return f"{value:,.4g} ms"
    if _AGREEMENT in result.rule:
        return f"{value:.1%}"
    if any(key in result.rule for key in _DIFFERENCES):
        return f"{value + 0.0:+.4g}".replace("-", "−")
    return f"{value:.4g}"


def difference_text(result: RuleResult, difference: float | None) -> str:
    """How far a figure of a rule moved, in its unit."""
    if difference is None:
        return "–"
    if _AGREEMENT in result.rule:
        text = f"{difference:+.1%}"
    else:
        text = f"{difference:+.4g}" + (" ms" if _LATENCY in result.rule else "")
    return "0" if round(difference, 6) == 0 else text.replace("-", "−")


def _interval(words: Words, result: RuleResult) -> object:
    if result.low is None or result.high is None:
        return "–"
    low, high = measured_text(result, result.low), measured_text(result, result.high)
    share = f"{result.confidence:.0%}" if result.confidence else ""
    return join([words("gates.range", low=low, high=high), " ", tag("span", share, class_="muted")])


def interval_picture(words: Words, result: RuleResult) -> Markup:
    """The interval as a line, what was measured as a dot on it, the threshold as a stroke."""
    asked = limit_of(result.rule)
    if asked is None or result.measured is None:
        return EMPTY
    low = result.measured if result.low is None else result.low
    high = result.measured if result.high is None else result.high
    left, right = min(low, asked.value), max(high, asked.value)
    scale = (_WIDTH - 2 * _MARGIN) / ((right - left) or 1.0)
    low_x, high_x, dot_x, limit_x = (
        f"{_MARGIN + (value - left) * scale:.1f}"
        for value in (low, high, result.measured, asked.value)
    )
    middle = _HEIGHT / 2
    return tag(
        "svg",
        tag("line", x1=limit_x, x2=limit_x, y1=2, y2=_HEIGHT - 2, class_="limit"),
        tag("line", x1=low_x, x2=high_x, y1=middle, y2=middle, class_="range"),
        tag("circle", cx=dot_x, cy=middle, r=4),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        width=f"{_WIDTH:g}",
        height=f"{_HEIGHT:g}",
        role="img",
        aria_label=words(
            "gates.drawn",
            measured=measured_text(result, result.measured),
            threshold=f"{asked.sign} {measured_text(result, asked.value)}",
        ),
        class_=f"interval tone-{_TONES[result.verdict]}",
    )


def fidelity_text(words: Words, fidelity: Fidelity | None) -> str:
    """How near exported probabilities are to the trained ones."""
    if fidelity is None:
        return "–"
    return words(
        "gates.fidelity", top1=f"{fidelity.top1_agreement:.1%}", kl=f"{fidelity.mean_kl_nats:.2g}"
    )
