"""Rows and decisions, on both databases; the machine, at random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.improvements.scene import ANN, wanted

from dizuo.access.model import Principal, Role, Surface
from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.transitions import TransitionRefused
from dizuo.database.engine import Database
from dizuo.improvements import service, store
from dizuo.improvements.errors import ImprovementNotFound, ImprovementRefused
from dizuo.improvements.model import (
    IMPROVEMENT_MACHINE,
    RESTING_STATES,
    WATCHED_STATES,
    Improvement,
    State,
)
from dizuo.improvements.service import Step

PASSED = [
    Step("begin", {}),
    Step("collect", {"dataset_versions": ["calls@1"]}),
    Step("tune", {"stack": "caller:1"}),
]
STRANGER = Principal("2", "eve", Surface.API, "other", Role.ADMIN)


def begin(database: Database, *, project: str = "default") -> Improvement:
    with database.transaction() as session:
        return service.start(
            session, wanted(), "operator:ann", needs_approval=True, project_id=project
        )


def go(database: Database, improvement: Improvement, *steps: Step) -> Improvement:
    for step in steps:
        with database.transaction() as session:
            current = service.get(session, improvement.id, lock=True)
            improvement = service.move(session, current, step, "workflow:1")
    return improvement


def test_what_steps_made_adds_up(any_database: Database) -> None:
    begun = begin(any_database)
    after = go(any_database, begun, *PASSED, Step("ask_approval", {}, "Please look."))
    assert after.state is State.AWAITING_APPROVAL
    assert (after.dataset_versions, after.stack) == (("calls@1",), "caller:1")
    assert (after.reason, after.request) == ("Please look.", begun.request)
    with any_database.reading() as session:
        assert service.get(session, begun.id) == after
        assert store.newest(session, "default", 10) == [after]
        assert audit.verify(session).ok
        actions = [entry.action for entry in audit_store.stream(session)]
    assert actions == [
        f"improvement.{word}" for word in ("started", "begin", "collect", "tune", "ask_approval")
    ]


def test_refused_moves_change_nothing(any_database: Database) -> None:
    begun = begin(any_database)
    with pytest.raises(TransitionRefused):
        go(any_database, begun, Step("release", {"release_id": "x"}))
    with any_database.reading() as session:
        assert service.get(session, begun.id) == begun


def test_projects_are_apart(any_database: Database) -> None:
    own, other = begin(any_database), begin(any_database, project="other")
    with any_database.reading() as session:
        assert [one.id for one in store.newest(session, "other", 10)] == [other.id]
        assert service.get(session, other.id, project_id="other") == other
        with pytest.raises(ImprovementNotFound):
            service.get(session, own.id, project_id="other")
    go(any_database, own, *PASSED, Step("ask_approval", {}))
    with any_database.transaction() as session:
        with pytest.raises(ImprovementNotFound):
            service.decide(session, own.id, STRANGER, approve=True)
        assert service.decide(session, own.id, ANN, approve=True).state is State.RELEASING


def test_listing_is_newest_first_and_bounded(any_database: Database) -> None:
    begun = [begin(any_database).id for _ in range(3)]
    with any_database.reading() as session:
        assert [one.id for one in store.newest(session, "default", 2)] == begun[:0:-1]


def test_work_is_what_does_not_rest(any_database: Database) -> None:
    unread, fresh, waiting, failed, shipped = (begin(any_database) for _ in range(5))
    go(any_database, fresh, PASSED[0])
    go(any_database, waiting, *PASSED, Step("ask_approval", {}))
    go(any_database, failed, PASSED[0], Step("fail", {}, "no"))
    ahead = [Step("pass_gate", {}), Step("release", {}), Step("roll_out", {"rollout_id": "x"})]
    go(any_database, shipped, *PASSED, *ahead)
    with any_database.reading() as session:
        assert store.ids_outside(session, RESTING_STATES) == [fresh.id]
        watched = store.in_states(session, WATCHED_STATES)
    assert [one.id for one in watched] == [unread.id, shipped.id]


def test_a_note_is_no_change_of_state(any_database: Database) -> None:
    begun = begin(any_database)
    with any_database.transaction() as session:
        service.note(session, begun, "The disk is full.")
    with any_database.reading() as session:
        noted = service.get(session, begun.id)
        assert (noted.state, noted.reason) == (begun.state, "The disk is full.")
        assert len(list(audit_store.stream(session))) == 1
    assert go(any_database, begun, *PASSED[:2]).reason == ""


@pytest.mark.parametrize("holdout", [0.0, -0.1, 0.500001, 1.0])
def test_holdout_is_bounded(database: Database, holdout: float) -> None:
    with database.transaction() as session, pytest.raises(ImprovementRefused):
        service.start(session, wanted(holdout=holdout), "ann", needs_approval=False)


def test_nobody_waits_for_less_than_nothing(database: Database) -> None:
    with database.transaction() as session, pytest.raises(ImprovementRefused, match="cannot be -1"):
        service.start(session, wanted(min_samples=-1), "ann", needs_approval=False)


def test_a_request_that_was_written_before_there_was_a_number_still_loads(
    database: Database,
) -> None:
    begun = begin(database)
    with database.transaction() as session:
        row = session.get_one(store.ImprovementRow, begun.id)
        row.request = {key: row.request[key] for key in row.request if key != "min_samples"}
    with database.reading() as session:
        assert service.get(session, begun.id).request.min_samples == 1


@given(st.lists(st.sampled_from(sorted({rule.name for rule in IMPROVEMENT_MACHINE.rules}))))
def test_nothing_is_released_that_did_not_pass_its_gates(names: list[str]) -> None:
    state, taken = IMPROVEMENT_MACHINE.initial, []
    for name in names:
        try:
            state = IMPROVEMENT_MACHINE.apply(state, name)
        except TransitionRefused:
            continue
        taken.append(name)
    if "release" in taken:
        before = taken[: taken.index("release")]
        assert "pass_gate" in before or before[-2:] == ["ask_approval", "approve"]
    if state == State.DONE:
        assert taken[-2:] == ["roll_out", "finish"]
    once = [name for name in taken if name not in ("begin", "wait")]
    assert len(once) == len(set(once))
    assert taken.count("begin") - taken.count("wait") in (0, 1)


def test_whoever_waits_for_a_person_can_only_hear_a_person() -> None:
    allowed = IMPROVEMENT_MACHINE.allowed(State.AWAITING_APPROVAL)
    assert list(allowed) == ["approve", "reject"]


def test_what_waits_for_reviews_can_be_given_up(database: Database) -> None:
    begun = begin(database)
    with database.transaction() as session:
        with pytest.raises(TransitionRefused):
            service.decide(session, begun.id, ANN, approve=True)
        ended = service.decide(session, begun.id, ANN, approve=False)
    assert (ended.state, ended.reason) == (State.REJECTED, "Rejected by operator:ann.")


def test_whoever_approves_is_kept(any_database: Database) -> None:
    waiting = go(any_database, begin(any_database), *PASSED, Step("ask_approval", {}))
    with any_database.transaction() as session:
        service.decide(session, waiting.id, ANN, approve=True)
    with any_database.reading() as session:
        assert service.get(session, waiting.id).approver == ANN.actor
