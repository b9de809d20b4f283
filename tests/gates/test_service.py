"""Reports are kept with their audit entry, once, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.errors import InvalidInput
from dizuo.database.engine import Database
from dizuo.gates import service
from dizuo.gates.errors import ReportDamaged
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.gates.store import GateReportRow

DIGEST = "sha256:" + "ab" * 32
RULE = RuleResult({"suite": "a@1"}, "it holds", Verdict.PASS, "It does.", measured=0.5)
REPORT = GateReport("reader:2", DIGEST, "tally", 0, 1000, {"cores": 2}, (RULE,))


def test_the_newest_report_of_a_stack_counts(any_database: Database) -> None:
    failed = replace(REPORT, created_ms=2000, rules=(replace(RULE, verdict=Verdict.CANNOT_TELL),))
    with any_database.transaction() as session:
        assert service.latest_report(session, DIGEST) is None
        service.save_report(session, DIGEST, REPORT, actor="operator:ann", run_id="run-1")
        assert service.latest_report(session, DIGEST) == REPORT
        service.save_report(session, DIGEST, failed)
    with any_database.reading() as session:
        assert service.latest_report(session, DIGEST) == failed
        assert service.latest_report(session, DIGEST, project_id="other") is None
        assert service.latest_report(session, "sha256:" + "00" * 32) is None


def test_the_newest_verdict_of_each_stack_that_was_gated(any_database: Database) -> None:
    other = "sha256:" + "cd" * 32
    failed = replace(REPORT, created_ms=2000, rules=(replace(RULE, verdict=Verdict.FAIL),))
    with any_database.transaction() as session:
        service.save_report(session, DIGEST, failed)
        service.save_report(session, DIGEST, REPORT)
        service.save_report(session, other, replace(failed, stack="b:1", stack_digest=other))
        service.save_report(session, other, replace(REPORT, stack_digest=other), project_id="p")
    with any_database.reading() as session:
        found = service.verdicts_of(session, [DIGEST, other, "sha256:" + "00" * 32])
        assert {key: one.passed for key, one in found.items()} == {DIGEST: True, other: False}
        assert service.verdicts_of(session, [DIGEST], project_id="p") == {}
        assert service.verdicts_of(session, []) == {}


def test_saving_again_changes_nothing(any_database: Database) -> None:
    with any_database.transaction() as session:
        first = service.save_report(session, DIGEST, REPORT, run_id="run-1")
    with any_database.transaction() as session:
        again = service.save_report(session, DIGEST, REPORT, run_id="run-2")
        entries = list(audit_store.stream(session))
        assert audit.verify(session).ok
    assert again == first
    assert [entry.action for entry in entries] == ["stack.gated"]
    assert entries[0].subject == "stack:reader:2"
    assert entries[0].detail["passed"] is True
    assert entries[0].detail["report"] == REPORT.digest


def test_a_report_cannot_speak_for_another_stack(database: Database) -> None:
    with database.transaction() as session, pytest.raises(InvalidInput):
        service.save_report(session, "sha256:" + "00" * 32, REPORT)


def test_a_row_that_was_made_to_pass_is_refused(database: Database) -> None:
    failed = replace(REPORT, rules=(replace(RULE, verdict=Verdict.FAIL),))
    with database.transaction() as session:
        stored = service.save_report(session, DIGEST, failed)
    with database.transaction() as session:
        row = session.get_one(GateReportRow, stored.id)
        row.report = {**row.report, "passed": True}
    with database.reading() as session, pytest.raises(ReportDamaged):
        service.latest_report(session, DIGEST)
