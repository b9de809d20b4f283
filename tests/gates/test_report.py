"""A report passes only by its rules, survives JSON, and is refused where it was tampered with."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from dizuo.core.digests import sha256_json
from dizuo.gates.errors import ReportDamaged
from dizuo.gates.render import render
from dizuo.gates.report import (
    ComparedExample,
    Fidelity,
    GateReport,
    RuleResult,
    Verdict,
    WorstExample,
)

DIGEST = "sha256:" + "ab" * 32


def result(verdict: Verdict, **more: Any) -> RuleResult:
    rule = {"suite": "a@1", "metric": "exact_match", "at_least": 0.9}
    return RuleResult(rule, "exact_match on a@1 is at least 0.9", verdict, "0.95 [of] it.", **more)


def gate_report(*rules: RuleResult) -> GateReport:
    return GateReport("reader:2", DIGEST, "tally", 0, 1000, {"cores": 2}, rules)


@pytest.mark.parametrize(
    ("verdicts", "passed"),
    [
        ([], False),
        ([Verdict.PASS], True),
        ([Verdict.PASS, Verdict.PASS], True),
        ([Verdict.PASS, Verdict.FAIL], False),
        ([Verdict.PASS, Verdict.CANNOT_TELL], False),
        ([Verdict.CANNOT_TELL], False),
    ],
)
def test_all_rules_must_pass_and_there_must_be_some(verdicts: list[Verdict], passed: bool) -> None:
    found = gate_report(*(result(verdict) for verdict in verdicts))
    assert found.passed is passed
    assert found.as_dict()["passed"] is passed


EXAMPLES = st.builds(
    WorstExample,
    st.just(DIGEST),
    st.text(max_size=9),
    st.none() | st.text(max_size=5) | st.lists(st.integers()),
    st.text(max_size=5),
    st.floats(0, 1),
)
FIDELITIES = st.builds(Fidelity, st.integers(1, 9), st.floats(0, 1), st.floats(0, 9))
COMPARED = st.builds(
    ComparedExample,
    st.text(max_size=9),
    st.none() | st.text(max_size=5),
    st.lists(st.integers()),
    st.booleans(),
    st.floats(0, 1),
    st.none() | FIDELITIES,
)
RESULTS = st.builds(
    result,
    st.sampled_from(Verdict),
    measured=st.none() | st.floats(-1, 1),
    worst=st.lists(EXAMPLES, max_size=3).map(tuple),
    num_rows=st.integers(0, 9),
    fidelity=st.none() | FIDELITIES,
    furthest=st.lists(COMPARED, max_size=2).map(tuple),
)


@settings(deadline=None)
@given(st.lists(RESULTS, max_size=3))
def test_a_report_survives_json(rules: list[RuleResult]) -> None:
    whole = gate_report(*rules)
    back = GateReport.from_dict(json.loads(json.dumps(whole.as_dict())))
    assert back == whole
    assert back.digest == whole.digest


@pytest.mark.parametrize(
    "change",
    [
        {"passed": True},
        {"passed": 1},
        {"format": 2},
        {"rules": [{}]},
        {"rules": None},
        {"unknown": 1},
    ],
)
def test_a_report_that_does_not_follow_its_rules_is_refused(change: dict[str, Any]) -> None:
    kept = gate_report(result(Verdict.FAIL)).as_dict()
    with pytest.raises(ReportDamaged):
        GateReport.from_dict(kept | change)


@pytest.mark.parametrize("missing", ["format", "passed", "rules", "stack_digest"])
def test_a_report_with_a_part_missing_is_refused(missing: str) -> None:
    kept = gate_report(result(Verdict.PASS)).as_dict()
    del kept[missing]
    with pytest.raises(ReportDamaged):
        GateReport.from_dict(kept)


def test_a_rule_with_an_unknown_verdict_is_refused() -> None:
    kept = json.loads(json.dumps(gate_report(result(Verdict.PASS)).as_dict()))
    kept["rules"][0]["verdict"] = "waived"
    with pytest.raises(ReportDamaged):
        GateReport.from_dict(kept)


def shown(report: GateReport) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(render(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_people_see_each_rule_its_answer_and_the_worst_rows() -> None:
    example = WorstExample(DIGEST, "line 7", "[bold]3", "8", 0.97)
    text = shown(
        gate_report(
            result(Verdict.PASS),
            result(Verdict.FAIL, worst=(example,), target="onnx"),
            result(Verdict.CANNOT_TELL),
        )
    )
    assert "Gates of reader:2" in text
    assert "exact_match on a@1 is at least 0.9" in text
    assert "0.95 [of] it. [onnx]" in text  # brackets are text, not markup
    assert "not met" in text
    assert "cannot tell" in text
    assert "line 7: answered '[bold]3', right is '8' (confidence 0.97)" in text
    assert "reader:2 has not passed: 1 of 3 gates were met." in text


def compared(prompt: str, exported: str, fidelity: Fidelity | None) -> ComparedExample:
    return ComparedExample(prompt, "排水", exported, exported == "排水", 0.5, fidelity)


def test_people_see_the_rows_furthest_from_the_trained_model_also_where_the_rule_was_met() -> None:
    text = shown(
        gate_report(
            result(
                Verdict.PASS,
                target="gguf-q4_0",
                fidelity=Fidelity(9, 0.9, 0.2),
                furthest=(
                    compared("人民路\n积水", "照明", Fidelity(3, 2 / 3, 0.41234)),
                    compared("x" * 200, "排水", None),
                ),
            )
        )
    )
    assert "Furthest from the trained model in gguf-q4_0:" in text
    expected = "  人民路 积水: trained '排水', exported '照明' (top-1 66.7%, KL 0.41 nats)"
    assert expected in text
    assert f"  {'x' * 80}…: both '排水'" in text


OLD = {
    "format": 1,
    "passed": True,
    "stack": "reader:2",
    "stack_digest": DIGEST,
    "family": "tally",
    "seed": 0,
    "created_ms": 1000,
    "machine": {"cores": 2},
    "rules": [
        {
            "rule": {"target": "onnx", "agreement_with_trained_at_least": 0.95},
            "sentence": "onnx answers as the trained model did on at least 95.0%",
            "verdict": "pass",
            "reason": "50 of 50 answers agree (100.0%).",
            "target": "onnx",
            "measured": 1.0,
            "low": 0.93,
            "high": 1.0,
            "confidence": 0.95,
            "num_rows": 50,
            "suite_digest": "",
            "against": "",
            "worst": [],
        }
    ],
}
"""A report as it was written before fidelity was told."""


def test_a_report_of_form_1_is_read_and_keeps_its_digest() -> None:
    found = GateReport.from_dict(json.loads(json.dumps(OLD)))
    assert found.passed
    assert (found.rules[0].fidelity, found.rules[0].furthest) == (None, ())
    assert json.loads(json.dumps(found.as_dict())) == OLD
    assert found.digest == sha256_json(OLD)


def test_a_report_that_tells_fidelity_is_of_form_2() -> None:
    told = gate_report(result(Verdict.PASS, fidelity=Fidelity(9, 0.9, 0.2)), result(Verdict.FAIL))
    assert told.as_dict()["format"] == 2
    for wrong in (told.as_dict() | {"format": 1}, OLD | {"format": 2}):
        with pytest.raises(ReportDamaged):
            GateReport.from_dict(wrong)


def test_people_see_that_a_stack_without_gates_has_not_passed() -> None:
    assert shown(gate_report()).strip() == "reader:2 has no gates, so it has not passed."


def test_people_see_no_wrong_rows_of_rules_that_were_met() -> None:
    example = WorstExample(DIGEST, "", "3", "8", 0.97)
    text = shown(gate_report(result(Verdict.PASS, worst=(example,))))
    assert "right is" not in text
    assert "reader:2 passed: 1 of 1 gates were met." in text
