"""The decisions about runs, on both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.errors import InvalidInput
from dizuo.core.transitions import TransitionRefused
from dizuo.database.engine import Database
from dizuo.runs import service
from dizuo.runs.errors import RunKeyReused, RunNotFound, StaleFence
from dizuo.runs.model import RUN_MACHINE, Run, RunState


def submit(database: Database, key: str = "k", **spec: Any) -> Run:
    with database.transaction() as session:
        return service.submit(session, "tune", spec, key, "operator:ann")


def actions(database: Database) -> list[str]:
    with database.reading() as session:
        assert audit.verify(session).ok
        return [entry.action for entry in audit_store.stream(session)]


def test_machine_has_five_states_and_three_ends() -> None:
    assert {*RUN_MACHINE.states} == {*RunState}
    assert RUN_MACHINE.final_states == {"succeeded", "failed", "cancelled"}


def test_submitting_twice_under_one_key_is_one_run(any_database: Database) -> None:
    first = submit(any_database, recipe="a")
    again = submit(any_database, recipe="a")
    assert again == first
    assert actions(any_database) == ["run.submitted"]


@pytest.mark.parametrize("other", [{"recipe": "b"}, {}, {"recipe": "a", "more": 1}])
def test_key_of_another_request_is_refused(database: Database, other: dict[str, Any]) -> None:
    submit(database, recipe="a")
    with pytest.raises(RunKeyReused):
        submit(database, **other)
    assert len(actions(database)) == 1


def test_key_of_another_kind_is_refused(database: Database) -> None:
    submit(database, recipe="a")
    with database.transaction() as session, pytest.raises(RunKeyReused):
        service.submit(session, "gate", {"recipe": "a"}, "k", "operator:ann")


def test_keys_are_per_project(database: Database) -> None:
    mine = submit(database)
    with database.transaction() as session:
        theirs = service.submit(session, "tune", {}, "k", "operator:ann", project_id="other")
    assert theirs.id != mine.id
    with database.reading() as session:
        assert service.listing(session) == [mine]
        assert service.get(session, mine.id, project_id="default") == mine
        with pytest.raises(RunNotFound):
            service.get(session, mine.id, project_id="other")


def test_many_submitters_at_once_make_one_run(any_database: Database) -> None:
    start = threading.Barrier(4)
    found: list[Run] = []

    def race() -> None:
        start.wait()
        found.append(submit(any_database, recipe="a"))

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.id for run in found}) == 1
    assert len(found) == 4
    assert actions(any_database) == ["run.submitted"]


def test_listing_is_newest_first_and_filtered(any_database: Database) -> None:
    runs = [submit(any_database, key=str(number)) for number in range(3)]
    with any_database.transaction() as session:
        service.cancel(session, runs[1].id, "operator:ann")
    with any_database.reading() as session:
        ids = [run.id for run in service.listing(session)]
        assert ids == [run.id for run in reversed(runs)]
        assert len(service.listing(session, limit=2)) == 2
        queued = service.listing(session, state=RunState.QUEUED)
        assert [run.id for run in queued] == [runs[2].id, runs[0].id]
        assert service.listing(session, kind="gate") == []


def test_life_of_a_run_that_is_lost_once(any_database: Database) -> None:
    run = submit(any_database)
    with any_database.transaction() as session:
        started = service.start(session, run.id, 1000)
        assert (started.state, started.fence, started.lease_ms) == (RunState.RUNNING, 1, 1000)
        assert service.renew_lease(session, run.id, 1, 2000).lease_ms == 2000
    with any_database.transaction() as session:
        queued = service.requeue(session, run.id, 1, lost=True, reason="gone")
        assert (queued.state, queued.num_lost, queued.lease_ms) == (RunState.QUEUED, 1, None)
    with any_database.transaction() as session:
        again = service.start(session, run.id, 3000)
        assert again.started_ms == started.started_ms
        ended = service.succeed(session, run.id, 2, {"stack": "a:1"})
    assert ended.is_final
    assert ended.outcome == {"stack": "a:1"}
    assert ended.finished_ms is not None
    with any_database.reading() as session:
        assert service.get(session, run.id) == ended
    assert actions(any_database) == [
        *("run.submitted", "run.started", "run.requeued", "run.started", "run.succeeded"),
    ]


def decide(database: Database, run: Run, fence: int) -> dict[str, Any]:
    """Every decision of the supervisor, by name, as a call that has not happened."""

    def call(name: str, *arguments: Any, **extras: Any) -> Any:
        def act() -> None:
            with database.transaction() as session:
                getattr(service, name)(session, run.id, fence, *arguments, **extras)

        return act

    return {
        "renew": call("renew_lease", 5),
        "succeed": call("succeed", {}),
        "fail": call("fail", InvalidInput("No.")),
        "cancelled": call("cancelled"),
        "requeue": call("requeue", lost=True, reason=""),
    }


DECISIONS = ["renew", "succeed", "fail", "cancelled", "requeue"]


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize("fence", [0, 2])
def test_decision_under_another_fence_changes_nothing(
    database: Database, name: str, fence: int
) -> None:
    run = submit(database)
    with database.transaction() as session:
        started = service.start(session, run.id, 0)
    with pytest.raises(StaleFence):
        decide(database, run, fence)[name]()
    with database.reading() as session:
        assert service.get(session, run.id) == started
    assert actions(database) == ["run.submitted", "run.started"]


@pytest.mark.parametrize("name", DECISIONS)
def test_decision_about_an_ended_run_changes_nothing(database: Database, name: str) -> None:
    run = submit(database)
    with database.transaction() as session:
        service.start(session, run.id, 0)
        ended = service.succeed(session, run.id, 1, {})
    with pytest.raises((StaleFence, TransitionRefused)):
        decide(database, run, 1)[name]()
    with database.reading() as session:
        assert service.get(session, run.id) == ended


def test_started_run_cannot_be_started_or_reused(database: Database) -> None:
    run = submit(database)
    with database.transaction() as session:
        service.start(session, run.id, 0)
    with database.transaction() as session:
        with pytest.raises(TransitionRefused):
            service.start(session, run.id, 0)
        with pytest.raises(TransitionRefused):
            service.reuse(session, run.id, {})


def test_reused_run_says_so(database: Database) -> None:
    run = submit(database)
    with database.transaction() as session:
        ended = service.reuse(session, run.id, {"stack": "a:1"})
    assert (ended.state, ended.cached, ended.outcome) == (
        RunState.SUCCEEDED,
        True,
        {"stack": "a:1"},
    )
    assert ended.as_dict()["cached"] is True


def test_failing_keeps_the_error_in_its_json_form(database: Database) -> None:
    run = submit(database)
    with database.transaction() as session:
        ended = service.fail(session, run.id, 0, InvalidInput("No.", next_step="Do."))
    assert ended.error == {
        "code": "invalid_input",
        "message": "No.",
        "next_step": "Do.",
        "retryable": False,
    }


def test_cancelling_a_running_run_is_asked_for_once(any_database: Database) -> None:
    run = submit(any_database)
    with any_database.transaction() as session:
        service.start(session, run.id, 0)
    with any_database.transaction() as session:
        asked = service.cancel(session, run.id, "operator:bob")
    with any_database.transaction() as session:
        assert service.cancel(session, run.id, "operator:cy") == asked
    assert asked.state is RunState.RUNNING
    assert asked.as_dict()["cancel_requested"] is True
    assert actions(any_database).count("run.cancel_requested") == 1


def test_ended_run_cannot_be_cancelled(database: Database) -> None:
    run = submit(database)
    with database.transaction() as session:
        service.cancel(session, run.id, "operator:ann")
    with database.transaction() as session, pytest.raises(TransitionRefused):
        service.cancel(session, run.id, "operator:ann")


@pytest.mark.parametrize("project", [None, "other"])
def test_cancelling_what_is_not_there(database: Database, project: str | None) -> None:
    run = submit(database)
    asked = run.id if project else "nothing"
    with database.transaction() as session, pytest.raises(RunNotFound):
        service.cancel(session, asked, "operator:ann", project_id=project)
    assert actions(database) == ["run.submitted"]
