"""Pages of improvements and of decisions about them, on both databases."""

from __future__ import annotations

import pytest
from tests.improvements.scene import ANN
from tests.improvements.test_service import PASSED, begin, go

from dizuo.audit import service as audit
from dizuo.database.engine import Database
from dizuo.improvements import finding, service
from dizuo.improvements.errors import ImprovementRefused
from dizuo.improvements.model import Improvement, State
from dizuo.improvements.service import Step

ASKING = (*PASSED, Step("ask_approval", {}))


def decide(
    database: Database, improvement: Improvement, *, approve: bool, reason: str = ""
) -> Improvement:
    with database.transaction() as session:
        return service.decide(session, improvement.id, ANN, approve=approve, reason=reason)


def test_every_state_is_waiting_under_way_or_ended() -> None:
    assert {State.DONE, State.REJECTED, State.FAILED} == finding.ENDED
    waiting = {State.AWAITING_APPROVAL}
    assert finding.UNDER_WAY | finding.ENDED | waiting == set(State)
    assert not finding.UNDER_WAY & finding.ENDED


def test_pages_are_of_a_project_and_of_states(any_database: Database) -> None:
    waiting = [go(any_database, begin(any_database), *ASKING).id for _ in range(3)]
    early = begin(any_database)
    begin(any_database, project="other")
    with any_database.reading() as session:
        asked = finding.page(session, "default", [State.AWAITING_APPROVAL], limit=2)
        assert [one.id for one in asked] == waiting[:0:-1]
        rest = finding.page(session, "default", [State.AWAITING_APPROVAL], limit=2, offset=2)
        assert [one.id for one in rest] == waiting[:1]
        assert finding.page(session, "default", finding.UNDER_WAY, limit=9) == [early]
        assert finding.counts(session, "default") == {
            State.AWAITING_APPROVAL: 3,
            State.AWAITING_REVIEW: 1,
        }


def test_decisions_are_newest_first_with_who_and_why(any_database: Database) -> None:
    first, second = (go(any_database, begin(any_database), *ASKING) for _ in range(2))
    other = begin(any_database, project="other")
    decide(any_database, first, approve=True)
    ended = decide(any_database, second, approve=False, reason="  too   slow ")
    assert ended.reason == "Rejected by operator:ann: too slow"
    go(any_database, other, Step("reject", {}))
    with any_database.transaction() as session:
        audit.record(session, "hub", "improvement.approve", "improvement:gone")
    with any_database.reading() as session:
        newest = finding.decided(session, "default", limit=2)
        assert [(one.improvement, one.approved) for one in newest.decisions] == [(ended, False)]
        assert newest.has_older
        sequence = newest.decisions[0].entry.sequence
        older = finding.decided(session, "default", before=sequence, limit=2)
    (approved,) = older.decisions
    assert (approved.improvement.id, approved.approved) == (first.id, True)
    assert (approved.entry.actor, older.has_older) == ("operator:ann", False)


def test_a_reason_is_bounded(database: Database) -> None:
    waiting = begin(database)
    with pytest.raises(ImprovementRefused, match="501 characters"):
        decide(database, waiting, approve=False, reason="x" * 501)
    assert decide(database, waiting, approve=False, reason="x" * 500).state is State.REJECTED


def test_steps_are_in_order_and_its_own(any_database: Database) -> None:
    begun = begin(any_database)
    begin(any_database)
    go(any_database, begun, *ASKING)
    with any_database.reading() as session:
        actions = [entry.action for entry in finding.steps(session, begun)]
    assert actions == [
        f"improvement.{name}" for name in ("started", "begin", "collect", "tune", "ask_approval")
    ]
