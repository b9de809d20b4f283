"""Every way a decision can go; what cannot be told never passes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizuo.gates import decide
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

PASS, FAIL, CANNOT_TELL = Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_TELL
VALUES = st.floats(-1, 1)


def around(low: float, point: float, high: float, rows: int = 400) -> Interval:
    return Interval(low, point, high, 0.95, rows)


@pytest.mark.parametrize(
    ("low", "high", "threshold", "verdict"),
    [
        (0.9, 0.95, 0.9, PASS),
        (0.91, 0.95, 0.9, PASS),
        (0.89, 0.95, 0.9, CANNOT_TELL),
        (0.8, 0.9, 0.9, CANNOT_TELL),
        (0.8, 0.89, 0.9, FAIL),
        (0.92 - 0.90, 0.92 - 0.90, 0.02, PASS),  # 0.020000000000000018 in binary
        (0.90 - 0.92, 0.90 - 0.92, -0.02, PASS),  # -0.020000000000000018
        (0.1 + 0.2, 0.3, 0.3, PASS),
    ],
)
def test_a_claim_is_shown_refuted_or_open(
    low: float, high: float, threshold: float, verdict: Verdict
) -> None:
    assert decide.claim(low, high, threshold) is verdict


@settings(deadline=None)
@given(VALUES, VALUES, VALUES, st.floats(0, 1))
def test_a_higher_threshold_never_helps_and_more_room_never_decides(
    one: float, other: float, threshold: float, more: float
) -> None:
    low, high = sorted((one, other))
    order = [FAIL, CANNOT_TELL, PASS]
    at = decide.claim(low, high, threshold)
    assert order.index(decide.claim(low, high, threshold + more)) <= order.index(at)
    wider = decide.claim(low - more, high + more, threshold)
    assert wider in (at, CANNOT_TELL)


@pytest.mark.parametrize(
    ("confidence", "score", "verdict", "reason"),
    [
        (None, around(0.85, 0.91, 0.95), PASS, "0.91 (95% interval 0.85 to 0.95, 400 rows)."),
        (None, around(0.85, 0.89, 0.95), FAIL, "0.89 (95% interval 0.85 to 0.95, 400 rows)."),
        (0.95, around(0.90, 0.93, 0.95), PASS, "0.93 (95% interval 0.9 to 0.95, 400 rows)."),
        (0.95, around(0.80, 0.85, 0.89), FAIL, "0.85 (95% interval 0.8 to 0.89, 400 rows)."),
        (
            0.95,
            around(0.85, 0.91, 0.95),
            CANNOT_TELL,
            "0.91 (95% interval 0.85 to 0.95, 400 rows). 400 rows cannot tell; a larger suite"
            " could.",
        ),
    ],
)
def test_at_least(confidence: float | None, score: Interval, verdict: Verdict, reason: str) -> None:
    rule = AtLeast("a@1", "exact_match", 0.9, confidence)
    assert decide.decide_at_least(rule, score) == (verdict, reason)


@pytest.mark.parametrize(
    ("confidence", "difference", "verdict", "begins"),
    [
        (None, around(-0.05, -0.02, 0.01), PASS, "0.02 worse than base:1 (95% interval"),
        (None, around(-0.05, -0.03, 0.01), FAIL, "0.03 worse than base:1"),
        (None, around(-0.05, 0.0, 0.05), PASS, "The same as base:1"),
        (None, around(0.0, 0.1, 0.2), PASS, "0.1 better than base:1"),
        (0.95, around(-0.05, -0.01, 0.01), CANNOT_TELL, "0.01 worse than base:1"),
        (0.95, around(-0.02, -0.01, 0.01), PASS, "0.01 worse than base:1"),
        (0.95, around(-0.09, -0.05, -0.03), FAIL, "0.05 worse than base:1"),
    ],
)
def test_drop_at_most(
    confidence: float | None, difference: Interval, verdict: Verdict, begins: str
) -> None:
    rule = DropAtMost("a@1", "exact_match", 0.02, confidence)
    found, reason = decide.decide_drop(rule, difference, "base:1")
    assert found is verdict
    assert reason.startswith(begins)
    assert reason.endswith("a larger suite could.") is (verdict is CANNOT_TELL)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (around(-0.02, 0.0, 0.02), PASS),  # the lower bound is within the margin
        (around(0.01, 0.05, 0.09), PASS),
        (around(-0.03, 0.0, 0.03), CANNOT_TELL),  # equal as measured, but not shown
        (around(-0.03, -0.025, -0.02), CANNOT_TELL),  # the upper bound just reaches the margin
        (around(-0.09, -0.05, -0.021), FAIL),
    ],
)
def test_not_worse_than_the_incumbent_is_non_inferiority(
    difference: Interval, verdict: Verdict
) -> None:
    rule = NotWorseThanIncumbent("a@1", "exact_match", 0.02)
    found, reason = decide.decide_not_worse(rule, difference, "reader:3")
    assert found is verdict
    assert "reader:3" in reason


@pytest.mark.parametrize(("agree", "verdict"), [(98, PASS), (97, FAIL), (0, FAIL), (100, PASS)])
def test_agreement(agree: int, verdict: Verdict) -> None:
    found, reason = decide.decide_agreement(
        AgreementWithTrained("table", 0.98), Agreement(100, agree)
    )
    assert found is verdict
    assert reason.startswith(f"{agree} of 100 answers agree")


def test_an_agreement_with_figures_tells_them() -> None:
    found = Agreement(4, 4, Fidelity(120, 0.975, 0.01234))
    verdict, reason = decide.decide_agreement(AgreementWithTrained("table", 0.9), found)
    assert verdict is PASS
    assert reason == (
        "4 of 4 answers agree (100.0%). Of 120 choices 97.5% have the same likeliest outcome;"
        " KL divergence 0.012 nats."
    )


@pytest.mark.parametrize(("p95_ms", "verdict"), [(9.99, PASS), (10.0, PASS), (10.01, FAIL)])
def test_latency(p95_ms: float, verdict: Verdict) -> None:
    found, reason = decide.decide_latency(LatencyAtMost("table", 10), Latency(200, p95_ms))
    assert found is verdict
    assert reason == f"{p95_ms:.2f} ms over 200 single requests."


@pytest.mark.parametrize("nothing", [float("nan"), float("inf")])
def test_a_latency_that_is_not_a_number_does_not_pass(nothing: float) -> None:
    found, _ = decide.decide_latency(LatencyAtMost("table", 10), Latency(200, nothing))
    assert found is FAIL


def test_a_score_that_is_not_a_number_does_not_pass() -> None:
    nothing = float("nan")
    assert decide.claim(nothing, nothing, 0.5) is CANNOT_TELL
