"""Whole gatings of real engines over real datasets: every rule, every way it cannot be measured."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import pytest
from tests.gates.scene import Shelf, labelled, right_answers

from dizuo.artifacts.model import StackFiles
from dizuo.core.progress import Progress, silent
from dizuo.database.engine import Database
from dizuo.datasets.columns import schema_for
from dizuo.datasets.content import content_digest
from dizuo.datasets.model import DatasetPin
from dizuo.families import room
from dizuo.families.base import Cancelled
from dizuo.families.golden import TRAINED_ANSWERS_NAME
from dizuo.gates.evaluate import evaluate, name_processor
from dizuo.gates.job import GateJob, Side, Visit, plan_visits
from dizuo.gates.measure import percentile_95
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.gates.rules import (
    AgreementWithTrained,
    AtLeast,
    DropAtMost,
    LatencyAtMost,
    NotWorseThanIncumbent,
    Rule,
)

PASS, FAIL, CANNOT_TELL = Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_TELL
ROWS = labelled(200)
SUITE = "words-test@1"
KNOWS_ALL = {"answers": right_answers(ROWS)}
AT_LEAST = AtLeast(SUITE, "exact_match", 0.9)
NOT_WORSE = NotWorseThanIncumbent(SUITE, "exact_match")
DROP = DropAtMost(SUITE, "exact_match", 0.02)
AGREES = AgreementWithTrained("table", 0.98)
FAST = LatencyAtMost("table", 60_000)
EXPECTED = right_answers(ROWS[:50])


def job(bench: Bench, *rules: Rule, model: Mapping[str, Any] = KNOWS_ALL, **more: Any) -> GateJob:
    """A candidate in its trained and one shipped target, over the suite."""
    candidate = {
        target: bench.stack(model, version=2, target=target, expected=EXPECTED)
        for target in ("safetensors", "table")
    }
    digest = candidate["table"].digest
    return GateJob(
        "reader:2", digest, "tally", rules, candidate, **{"suites": bench.suites, **more}
    )


class Bench(Shelf):
    """A bench with the suite on it."""

    suites: Mapping[str, DatasetPin]


@pytest.fixture(scope="module")
def words(library: Shelf) -> DatasetPin:
    return library.dataset("words-test", ROWS)


@pytest.fixture
def bench(tmp_path: Path, database: Database, words: DatasetPin) -> Bench:
    found = Bench(tmp_path, database)
    found.suites = {SUITE: words}
    return found


def only(report: GateReport) -> RuleResult:
    (rule,) = report.rules
    return rule


def other(bench: Bench, wrong: int, name: str = "reader") -> dict[str, StackFiles]:
    """Another stack that errs on the first rows."""
    return {"table": bench.stack({"answers": right_answers(ROWS, wrong=wrong)}, name=name)}


def test_all_rules_pass_and_the_report_says_by_what(bench: Bench) -> None:
    rules = (AT_LEAST, NOT_WORSE, DROP, AGREES, FAST)
    report = evaluate(
        job(bench, *rules, incumbent=other(bench, 20), parent=other(bench, 60, "base")), silent
    )
    assert report.passed, report.as_dict()
    score, not_worse, drop, agrees, fast = report.rules
    assert (score.measured, score.num_rows) == (1.0, 200)
    assert (not_worse.measured, not_worse.against) == (0.1, "reader:1")
    assert (drop.measured, drop.against) == (0.3, "base:1")
    assert (agrees.measured, agrees.num_rows) == (1.0, 50)
    assert fast.measured is not None
    assert fast.measured > 0
    assert {rule.target for rule in report.rules} == {"table"}
    assert report.machine["threads"] == 1
    assert report.machine["processor"]
    json.dumps(report.as_dict())


def test_the_same_answers_give_the_same_figures(bench: Bench) -> None:
    asked = job(bench, NOT_WORSE, AT_LEAST, incumbent=other(bench, 3))
    assert evaluate(asked, silent).rules == evaluate(asked, silent).rules


def test_a_score_below_the_threshold_fails_with_its_worst_rows(bench: Bench) -> None:
    model = {"answers": right_answers(ROWS, wrong=30)}
    found = only(evaluate(job(bench, AT_LEAST, model=model), silent))
    assert (found.verdict, found.measured) == (FAIL, 0.85)
    assert len(found.worst) == 10
    assert {(example.answer, example.confidence) for example in found.worst} == {("z", 0.75)}
    assert all(example.row.startswith("sha256:") for example in found.worst)


def test_without_an_incumbent_the_rule_passes_and_says_so(bench: Bench) -> None:
    found = only(evaluate(job(bench, NOT_WORSE), silent))
    assert found.verdict is PASS
    assert found.reason.startswith("Nothing of this name is released yet")


def test_the_incumbent_is_not_worse_than_itself(bench: Bench) -> None:
    asked = job(bench, NOT_WORSE)
    found = only(evaluate(replace(asked, incumbent=asked.candidate), silent))
    assert (found.verdict, found.reason) == (PASS, "This version is the incumbent itself.")


def test_a_worse_candidate_fails_against_the_incumbent(bench: Bench) -> None:
    model = {"answers": right_answers(ROWS, wrong=40)}
    asked = job(bench, NOT_WORSE, model=model, incumbent=other(bench, 0))
    assert only(evaluate(asked, silent)).verdict is FAIL


def test_a_suite_too_short_to_tell_does_not_pass(bench: Bench) -> None:
    """Twenty rows on which both are right: no evidence against, and not enough for."""
    suites = {SUITE: bench.dataset("short-test", ROWS[:20])}
    asked = job(bench, NOT_WORSE, incumbent=other(bench, 0), suites=suites)
    found = only(evaluate(asked, silent))
    assert (found.verdict, found.measured) == (CANNOT_TELL, 0.0)
    assert "20 rows cannot tell" in found.reason


def test_a_drop_beyond_the_limit_fails(bench: Bench) -> None:
    model = {"answers": right_answers(ROWS, wrong=5)}
    found = only(evaluate(job(bench, DROP, model=model, parent=other(bench, 0, "base")), silent))
    assert (found.verdict, found.measured) == (FAIL, -0.025)


def test_the_first_target_that_ships_is_measured_unless_the_rule_names_one(bench: Bench) -> None:
    asked = job(bench, AT_LEAST, replace(AT_LEAST, target="table-b"))
    wrong = bench.stack({"default": "z"}, version=2, target="table-b")
    asked = replace(asked, candidate={**asked.candidate, "table-b": wrong})
    first, named = evaluate(asked, silent).rules
    assert (first.target, first.verdict) == ("table", PASS)
    assert (named.target, named.verdict) == ("table-b", FAIL)


@pytest.mark.parametrize(
    ("mishap", "reason"),
    [
        ("load", "cannot be loaded in table: The table is of another base. Build it again."),
        ("crash", "failed in table: ZeroDivisionError: the table fell over"),
        ("short", "The candidate answered 31 rows of 32."),
        ("nan", "failed in table: ValueError"),
    ],
)
def test_an_engine_that_breaks_cannot_tell(bench: Bench, mishap: str, reason: str) -> None:
    found = only(evaluate(job(bench, AT_LEAST, model=KNOWS_ALL | {"mishap": mishap}), silent))
    assert found.verdict is CANNOT_TELL
    assert reason in found.reason


def test_an_engine_that_has_no_room_here_is_not_opened(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 100)
    model = KNOWS_ALL | {"mishap": "load"}
    found = only(evaluate(job(bench, AT_LEAST, model=model), silent))
    assert found.verdict is CANNOT_TELL
    assert "The candidate cannot be loaded in table: An engine for it takes" in found.reason
    assert "GB are free here. Take a smaller table." in found.reason


@pytest.mark.parametrize("mishap", ["load", "crash", "short"])
@pytest.mark.parametrize("rule", [AGREES, FAST])
def test_an_engine_that_breaks_fails_the_rules_of_its_target_too(
    bench: Bench, rule: Rule, mishap: str
) -> None:
    found = only(evaluate(job(bench, rule, model=KNOWS_ALL | {"mishap": mishap}), silent))
    assert found.verdict is CANNOT_TELL


def test_an_engine_that_does_not_close_has_still_answered(bench: Bench) -> None:
    report = evaluate(job(bench, AT_LEAST, model=KNOWS_ALL | {"mishap": "close"}), silent)
    assert report.passed


@pytest.mark.parametrize("side", ["incumbent", "parent"])
def test_another_side_that_breaks_costs_only_the_rules_that_compare(
    bench: Bench, side: str
) -> None:
    broken = {"table": bench.stack({"mishap": "crash"}, name="old")}
    rule = NOT_WORSE if side == "incumbent" else DROP
    score, compared = evaluate(job(bench, AT_LEAST, rule, **{side: broken}), silent).rules
    assert score.verdict is PASS
    assert compared.verdict is CANNOT_TELL
    assert f"The {side} failed in table" in compared.reason


def test_an_incumbent_without_the_target_cannot_tell(bench: Bench) -> None:
    elsewhere = {"table-b": bench.stack(KNOWS_ALL, target="table-b")}
    found = only(evaluate(job(bench, NOT_WORSE, incumbent=elsewhere), silent))
    assert found.verdict is CANNOT_TELL
    assert found.reason == "The incumbent is not there in the target table."


def test_a_drop_without_a_parent_cannot_tell(bench: Bench) -> None:
    found = only(evaluate(job(bench, DROP), silent))
    assert (found.verdict, found.reason) == (
        CANNOT_TELL,
        "There is no parent stack to compare with.",
    )


def test_a_suite_that_is_not_there_costs_only_its_rules(bench: Bench) -> None:
    lost = AtLeast("lost-test@9", "exact_match", 0.1)
    score, missing = evaluate(job(bench, AT_LEAST, lost), silent).rules
    assert score.verdict is PASS
    assert (missing.verdict, missing.reason) == (
        CANNOT_TELL,
        "The suite lost-test@9 is not there.",
    )


def test_a_suite_whose_data_is_damaged_cannot_tell(bench: Bench) -> None:
    asked = job(bench, AT_LEAST)
    pin = (asked.suites or {})[SUITE]
    other_rows = replace(pin, digest="sha256:" + "00" * 32)
    found = only(evaluate(replace(asked, suites={SUITE: other_rows}), silent))
    assert found.verdict is CANNOT_TELL
    assert "cannot be read" in found.reason


def test_a_suite_without_rows_cannot_tell(bench: Bench, tmp_path: Path) -> None:
    table = lance.write_dataset(schema_for([], ()).empty_table(), str(tmp_path / "empty.lance"))
    table.tags.create("v1", table.version)
    pin = DatasetPin("default", "empty-test", 1, content_digest([]), table.uri, "v1", 0)
    found = only(evaluate(job(bench, AT_LEAST, suites={SUITE: pin}), silent))
    assert (found.verdict, found.reason) == (CANNOT_TELL, "The suite words-test@1 has no rows.")


def test_rows_without_the_right_answer_cannot_tell(bench: Bench) -> None:
    unlabelled = [{"text": row["text"]} for row in ROWS[:5]]
    suites = {SUITE: bench.dataset("bare-test", unlabelled)}
    found = only(evaluate(job(bench, AT_LEAST, suites=suites), silent))
    assert found.verdict is CANNOT_TELL
    assert "KeyError" in found.reason


def test_a_metric_that_breaks_cannot_tell(bench: Bench) -> None:
    found = only(evaluate(job(bench, AtLeast(SUITE, "broken", 0.1)), silent))
    assert found.verdict is CANNOT_TELL
    assert "broken returned 7.0" in found.reason


def test_a_stack_that_does_not_ship_cannot_tell(bench: Bench) -> None:
    asked = job(bench, AT_LEAST)
    trained = {"safetensors": asked.candidate["safetensors"]}
    found = only(evaluate(replace(asked, candidate=trained), silent))
    assert found.verdict is CANNOT_TELL
    assert found.reason == "The candidate is not there in any target that ships."


def test_an_unknown_family_cannot_tell(bench: Bench) -> None:
    rules = (AT_LEAST, NOT_WORSE, AGREES, FAST)
    asked = replace(job(bench, *rules, incumbent=other(bench, 0)), family="gone")
    report = evaluate(asked, silent)
    assert {rule.verdict for rule in report.rules} == {CANNOT_TELL}
    assert not report.passed


def test_an_export_that_answers_otherwise_fails_its_agreement(bench: Bench) -> None:
    model = {"answers": right_answers(ROWS, wrong=5)}
    found = only(evaluate(job(bench, AGREES, model=model), silent))
    assert (found.verdict, found.reason) == (FAIL, "45 of 50 answers agree (90.0%).")
    assert found.fidelity is None
    wrong = {row["text"]: row["label"] for row in ROWS[:5]}
    assert {one.prompt: one.trained for one in found.furthest} == wrong
    assert {(one.exported, one.confidence, one.agrees) for one in found.furthest} == {
        ("z", 0.75, False)
    }


@pytest.mark.parametrize("damage", ["missing", "empty", "not json"])
def test_without_the_trained_answers_agreement_cannot_tell(bench: Bench, damage: str) -> None:
    asked = job(bench, AGREES)
    path = asked.candidate["safetensors"].top.directory / TRAINED_ANSWERS_NAME
    path.unlink()
    if damage != "missing":
        path.write_text("[" if damage == "not json" else '{"format":1,"rows":[]}')
    found = only(evaluate(asked, silent))
    assert found.verdict is CANNOT_TELL
    assert "The trained model's answers cannot be read" in found.reason


def test_an_engine_that_tells_none_of_the_probabilities_that_were_kept_does_not_pass(
    bench: Bench,
) -> None:
    asked = job(bench, AGREES)
    path = asked.candidate["safetensors"].top.directory / TRAINED_ANSWERS_NAME
    kept = json.loads(path.read_bytes())
    for row in kept["rows"]:
        row["choices"] = [{"outcomes": [1], "logprobs": [-0.1]}]
    path.write_text(json.dumps(kept | {"format": 2}))
    found = only(evaluate(asked, silent))
    assert found.verdict is CANNOT_TELL
    assert found.reason == "The engine of table tells no probabilities."


def test_a_prompt_is_shown_from_its_beginning(bench: Bench) -> None:
    long = "abc" * 1000
    candidate = {
        target: bench.stack({}, version=3, target=target, expected={long: "a"})
        for target in ("safetensors", "table")
    }
    found = only(evaluate(replace(job(bench, AGREES), candidate=candidate), silent))
    assert found.furthest[0].prompt == long[:1000] + "…"


def test_without_the_trained_target_agreement_cannot_tell(bench: Bench) -> None:
    asked = job(bench, AGREES)
    table = asked.candidate["table"]
    shipped = {"table": table, "another": table}
    found = only(evaluate(replace(asked, candidate=shipped), silent))
    assert (found.verdict, found.reason) == (
        CANNOT_TELL,
        "The stack is not there in safetensors, as it was trained.",
    )


@pytest.mark.parametrize(("num_wrong", "expected"), [(0, "pass"), (5, "fail")])
def test_a_stack_in_one_form_alone_is_held_against_the_answers_it_came_with(
    bench: Bench, num_wrong: int, expected: str
) -> None:
    asked = job(bench, AGREES, model={"answers": right_answers(ROWS, wrong=num_wrong)})
    alone = replace(asked, candidate={"table": asked.candidate["table"]})
    assert only(evaluate(alone, silent)).verdict.value == expected
    (alone.candidate["table"].top.directory / TRAINED_ANSWERS_NAME).unlink()
    assert only(evaluate(alone, silent)).verdict is CANNOT_TELL


def test_without_a_golden_set_latency_cannot_tell(bench: Bench) -> None:
    asked = job(bench, FAST)
    (asked.candidate["table"].top.directory / "golden.json").unlink()
    found = only(evaluate(asked, silent))
    assert found.verdict is CANNOT_TELL
    assert "The golden set cannot be read" in found.reason


def test_a_stack_without_gates_has_not_passed(bench: Bench) -> None:
    report = evaluate(job(bench), silent)
    assert (report.rules, report.passed) == ((), False)


def test_progress_is_told_and_cancelling_stops(bench: Bench) -> None:
    heard: list[Progress] = []
    asked = job(bench, AT_LEAST, FAST, AGREES)
    evaluate(asked, heard.append)
    assert {event.stage for event in heard} == {"suite", "gate", "decide"}
    told = {event.message for event in heard}
    assert {
        "Reading words-test@1",
        "Answers by the candidate in table",
        "Latency by the candidate in table",
        "Agreement by the candidate in table",
    } <= told
    with pytest.raises(Cancelled):
        evaluate(asked, silent, cancelled=lambda: True)


def test_each_engine_is_opened_once(bench: Bench) -> None:
    asked = job(
        bench, AT_LEAST, NOT_WORSE, DROP, AGREES, FAST, incumbent={}, parent=other(bench, 1)
    )
    assert plan_visits(asked) == (
        Visit(Side.CANDIDATE, "table", (SUITE,), agreement=True, latency=True),
        Visit(Side.INCUMBENT, "table", (SUITE,)),
        Visit(Side.PARENT, "table", (SUITE,)),
    )


def test_the_machine_is_named_where_its_kind_tells_it(tmp_path: Path) -> None:
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor : 0\nmodel name\t: Great CPU: 3 GHz\nmodel name\t: other\n")
    assert name_processor(listed) == "Great CPU: 3 GHz"
    assert name_processor(tmp_path / "absent") == platform.machine()


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0], 5.0), (list(range(1, 101)), 95), (list(range(1, 21)), 19), ([3, 1, 2], 3)],
)
def test_the_95th_percentile_is_a_value_that_was_measured(
    values: list[float], expected: float
) -> None:
    assert percentile_95(values) == expected
