"""Runs in real processes, from queued to final."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.runs.conftest import QUICK, WAIT_SECONDS, Bench, until
from tests.runs.counting import expected_value

from dizuo.runs import service
from dizuo.runs.errors import RunNotFound, RunTimeout
from dizuo.runs.model import RunState
from dizuo.runs.watch import Limits


def test_run_succeeds_once(bench: Bench) -> None:
    run = bench.submit(5)
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert ended.state is RunState.SUCCEEDED
    assert ended.outcome == {"value": expected_value(5)}
    assert (ended.fence, ended.num_lost, ended.cached) == (1, 0, False)
    assert bench.lines() == ["begin 0", *(f"step {n}" for n in range(1, 6)), "end"]
    assert bench.actions() == ["run.submitted", "run.started", "counting.counted", "run.succeeded"]


def test_what_an_unfinished_run_needs_is_removed_at_its_end(bench: Bench) -> None:
    run = bench.submit(1)
    supervisor = bench.supervise()
    supervisor.wait(run.id, WAIT_SECONDS)
    supervisor.stop()
    kept = {path.name for path in bench.folder(run).path.rglob("*")}
    assert kept == {
        *("job.json", "lock", "attempt-1", "attempt.json", "worker.json", "lease"),
        *("events.jsonl", "log.txt", "result.json"),
    }


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"unprepared": "The parent is missing."}, "invalid_input", "The parent is missing."),
        ({"refuse": "The recipe is wrong."}, "invalid_input", "The recipe is wrong."),
        ({"fail": "The rows are wrong."}, "invalid_input", "The rows are wrong."),
        ({"crash": "one by zero"}, "run_crashed", "ZeroDivisionError: one by zero"),
        ({"unfinished": "It does not count."}, "invalid_input", "It does not count."),
        ({"broken": "no finish"}, "run_crashed", "ZeroDivisionError: no finish"),
    ],
)
def test_run_fails_with_its_reason(
    bench: Bench, spec: dict[str, str], code: str, words: str
) -> None:
    run = bench.submit(1, **spec)
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert ended.error["code"] == code
    assert words in ended.error["message"]
    assert ended.outcome is None
    assert "counting.counted" not in bench.actions()
    assert bench.actions()[-1] == "run.failed"


def test_crash_leaves_its_traceback_in_the_log_only(bench: Bench) -> None:
    run = bench.submit(1, crash="one by zero")
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert "Traceback" in bench.folder(run).attempt(1).log_path.read_text()
    assert "Traceback" not in str(ended.error)


def test_outcome_that_is_there_already_needs_no_process(bench: Bench) -> None:
    run = bench.submit(1, known={"value": "old"})
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert (ended.state, ended.outcome, ended.cached) == (
        RunState.SUCCEEDED,
        {"value": "old"},
        True,
    )
    assert ended.fence == 0
    assert bench.actions() == ["run.submitted", "run.reused"]


def test_kind_that_was_uninstalled_fails_the_run(bench: Bench) -> None:
    run = bench.submit(1)
    supervisor = bench.supervise()
    supervisor.wait(run.id, WAIT_SECONDS)
    supervisor.stop()
    later = bench.submit(1)
    empty = bench.supervise()
    empty.kinds = {}
    ended = empty.wait(later.id, WAIT_SECONDS)
    assert ended.error is not None
    assert ended.error["code"] == "unknown_run_kind"


def test_one_at_a_time_in_the_order_of_submitting(bench: Bench) -> None:
    first = bench.submit(2, hold=["step-1"])
    second = bench.submit(1)
    supervisor = bench.supervise()
    bench.reached("step-1")
    with pytest.raises(RunTimeout):
        supervisor.wait(second.id, 0.2)
    assert bench.read(second).state is RunState.QUEUED
    bench.release("step-1")
    assert supervisor.wait(second.id, WAIT_SECONDS).state is RunState.SUCCEEDED
    assert bench.read(first).state is RunState.SUCCEEDED


def test_two_at_a_time_when_allowed(bench: Bench) -> None:
    first = bench.submit(1, hold=["step-0"])
    second = bench.submit(2, hold=["step-1"])
    supervisor = bench.supervise(replace(QUICK, parallel=2))
    bench.reached("step-0")
    bench.reached("step-1")
    bench.release("step-0")
    bench.release("step-1")
    for run in (first, second):
        assert supervisor.wait(run.id, WAIT_SECONDS).state is RunState.SUCCEEDED


def test_a_run_whose_preparing_takes_long_holds_up_no_other(bench: Bench) -> None:
    first = bench.submit(1, hold=["step-0"])
    supervisor = bench.supervise(replace(QUICK, parallel=2))
    bench.reached("step-0")
    slow = bench.submit(1, hold=["check"])
    bench.reached("check")
    bench.release("step-0")
    assert supervisor.wait(first.id, WAIT_SECONDS).state is RunState.SUCCEEDED
    third = bench.submit(1)
    assert supervisor.wait(third.id, WAIT_SECONDS).state is RunState.SUCCEEDED
    assert bench.read(slow).state is RunState.QUEUED
    bench.release("check")
    assert supervisor.wait(slow.id, WAIT_SECONDS).state is RunState.SUCCEEDED


def test_waiting_for_what_is_not_there(bench: Bench) -> None:
    with pytest.raises(RunNotFound):
        bench.supervise().wait("no-such-run", 1)


def test_stopping_a_supervisor_ends_the_wait(bench: Bench) -> None:
    run = bench.submit(1, hold=["step-0"])
    supervisor = bench.supervise()
    bench.reached("step-0")
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            supervisor.wait(run.id, WAIT_SECONDS)
        except RunTimeout as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    supervisor.stop()
    waiter.join(WAIT_SECONDS)
    assert len(caught) == 1


def test_supervisor_that_never_started_can_be_stopped(bench: Bench) -> None:
    supervisor = bench.supervise()
    supervisor.stop()
    supervisor.stop()
    assert not supervisor.leading.is_set()


def test_threads_are_shared_out_between_parallel_workers() -> None:
    assert Limits(threads=3).plan(1).threads == 3
    assert Limits(parallel=10_000).plan(1).threads == 1


def test_a_run_that_is_resumed_gets_as_many_threads_as_it_began_with(bench: Bench) -> None:
    run = bench.submit(2, hold=["step-1"])
    begun = bench.supervise(replace(QUICK, threads=3))
    bench.reached("step-1")
    begun.stop(end_workers=True)
    bench.release("step-1")
    bench.supervise(replace(QUICK, threads=1)).wait(run.id, WAIT_SECONDS)
    plans = [attempt.plan() for attempt in bench.folder(run).attempts()]
    assert [(plan.fence, plan.threads) for plan in plans] == [(1, 3), (2, 3)]


# Cancelling


def test_queued_run_is_cancelled_at_once(bench: Bench) -> None:
    run = bench.submit(1)
    bench.cancel(run)
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert ended.state is RunState.CANCELLED
    assert not bench.folder(run).path.exists()


def test_running_run_stops_by_itself_when_cancelled(bench: Bench) -> None:
    run = bench.submit(3, hold=["step-1"])
    supervisor = bench.supervise()
    bench.reached("step-1")
    bench.cancel(run)
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert ended.state is RunState.CANCELLED
    result = bench.folder(run).attempt(1).result()
    assert result is not None
    assert result.status == "cancelled"
    assert bench.actions()[-2:] == ["run.cancel_requested", "run.cancelled"]


def test_run_that_does_not_listen_is_ended_after_the_grace(bench: Bench) -> None:
    run = bench.submit(3, hold=["step-1"], deaf=True)
    supervisor = bench.supervise(replace(QUICK, cancel_grace_seconds=0.1))
    bench.reached("step-1")
    bench.cancel(run)
    assert supervisor.wait(run.id, WAIT_SECONDS).state is RunState.CANCELLED
    assert bench.folder(run).attempt(1).result() is None
    assert not bench.folder(run).is_locked()


def test_cancel_reaches_a_run_whose_result_was_not_yet_counted(bench: Bench) -> None:
    run = bench.submit(1, hold=["step-0"])
    supervisor = bench.supervise()
    bench.reached("step-0")
    supervisor.stop()
    bench.release("step-0")
    until(lambda: bench.folder(run).attempt(1).result())
    bench.cancel(run)
    assert bench.supervise().wait(run.id, WAIT_SECONDS).state is RunState.CANCELLED
    assert "counting.counted" not in bench.actions()


# What gets in the way


def test_hub_that_cannot_check_yet_tries_again(bench: Bench) -> None:
    run = bench.submit(1, busy="The disk is away.")
    supervisor = bench.supervise()
    until(lambda: bench.lines().count("busy") >= 2)
    assert bench.read(run).state is RunState.QUEUED
    bench.release("busy")
    assert supervisor.wait(run.id, WAIT_SECONDS).state is RunState.SUCCEEDED


@pytest.mark.parametrize("spec", [{}, {"refuse": "No."}, {"known": {"value": 1}}])
def test_run_cancelled_while_it_is_prepared_stays_cancelled(
    bench: Bench, spec: dict[str, str]
) -> None:
    run = bench.submit(1, hold=["check"], **spec)
    supervisor = bench.supervise()
    bench.reached("check")
    bench.cancel(run)
    bench.release("check")
    later = bench.submit(1)
    assert supervisor.wait(later.id, WAIT_SECONDS).state is RunState.SUCCEEDED
    assert bench.read(run).state is RunState.CANCELLED
    assert bench.read(run).fence == 0


def test_queued_run_waits_for_its_lock(bench: Bench) -> None:
    run = bench.submit(1)
    lock = bench.folder(run).acquire()
    assert lock is not None
    supervisor = bench.supervise()
    with pytest.raises(RunTimeout):
        supervisor.wait(run.id, 0.3)
    assert bench.read(run).fence == 0
    os.close(lock)
    assert supervisor.wait(run.id, WAIT_SECONDS).state is RunState.SUCCEEDED


@pytest.mark.parametrize("cancelled", [False, True])
def test_worker_that_never_said_who_it_is_is_waited_for(bench: Bench, cancelled: bool) -> None:
    run = bench.submit(1)
    bench.folder(run).write_job("counting", run.spec)
    with bench.context.database.transaction() as session:
        service.start(session, run.id, 0)
    bench.folder(run).attempt(1).open(QUICK.plan(1))
    lock = bench.folder(run).acquire()
    assert lock is not None
    supervisor = bench.supervise()
    if cancelled:
        bench.cancel(run)
    with pytest.raises(RunTimeout):
        supervisor.wait(run.id, 0.3)
    os.close(lock)
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert ended.state is (RunState.CANCELLED if cancelled else RunState.SUCCEEDED)
    assert ended.fence == (1 if cancelled else 2)


def test_supervisor_outlives_a_database_that_is_away(bench: Bench) -> None:
    supervisor = bench.supervise()
    assert supervisor.leading.wait(WAIT_SECONDS)
    run = bench.submit(1)
    for away, back in [
        ("ALTER TABLE runs RENAME TO hidden", "ALTER TABLE hidden RENAME TO runs"),
        ("UPDATE runs SET spec = '{'", f"UPDATE runs SET spec = '{json.dumps(run.spec)}'"),
    ]:
        execute(bench, away)
        supervisor.wake()
        threading.Event().wait(0.1)
        execute(bench, back)
    assert supervisor.leading.is_set()
    assert supervisor.wait(run.id, WAIT_SECONDS).state is RunState.SUCCEEDED


def execute(bench: Bench, statement: str) -> None:
    with bench.context.database.transaction() as session:
        session.execute(text(statement.replace(":", "\\:")))
