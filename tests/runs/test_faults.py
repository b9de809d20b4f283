"""Workers and hubs killed at every place that matters: the same result, once, by one worker."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.runs.conftest import QUICK, WAIT_SECONDS, Bench, until
from tests.runs.counting import expected_value

from dizuo.core.files import write_json
from dizuo.runs import service
from dizuo.runs.folder import AttemptResult, ResultStatus
from dizuo.runs.model import Run, RunState

STEPS = 4


def kill_worker(bench: Bench, run: Run, fence: int, number: signal.Signals) -> None:
    worker = bench.folder(run).attempt(fence).identity()
    assert worker is not None
    os.kill(worker.pid, number)


def assert_counted_once(bench: Bench, ended: Run) -> None:
    assert ended.state is RunState.SUCCEEDED
    assert ended.outcome == {"value": expected_value(STEPS)}
    assert bench.lines().count("end") == 1
    assert bench.actions().count("counting.counted") == 1
    assert bench.actions().count("run.succeeded") == 1


@contextmanager
def hub_process(bench: Bench) -> Iterator[subprocess.Popen[str]]:
    """A hub in a process of its own; killed at the end if the test has not."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.runs.hub_process", str(bench.home)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as hub:
        try:
            assert hub.stdout is not None
            assert hub.stdout.readline() == "leading\n"
            yield hub
        finally:
            hub.kill()


@pytest.mark.parametrize("place", ["step-0", "saving-1", "saving-3", "step-3"])
def test_killed_worker_is_replaced_and_goes_on(bench: Bench, place: str) -> None:
    run = bench.submit(STEPS, hold=[place])
    supervisor = bench.supervise()
    bench.reached(place)
    kill_worker(bench, run, 1, signal.SIGKILL)
    bench.release(place)
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert (ended.fence, ended.num_lost) == (2, 1)
    done = int(place.split("-")[1]) - place.startswith("saving")
    assert f"begin {done}" in bench.lines()
    assert "run.requeued" in bench.actions()


def test_child_of_a_killed_worker_is_ended_before_the_next_begins(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"], fork=True)
    supervisor = bench.supervise()
    bench.reached("step-2")
    kill_worker(bench, run, 1, signal.SIGKILL)
    bench.release("step-2")
    assert_counted_once(bench, supervisor.wait(run.id, WAIT_SECONDS))


def test_worker_that_always_dies_fails_the_run(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-0"])
    supervisor = bench.supervise(replace(QUICK, max_lost=1))
    for fence in (1, 2):
        bench.began(fence)
        kill_worker(bench, run, fence, signal.SIGKILL)
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "worker_lost"
    assert ended.fence == 2


def test_hanging_worker_is_replaced_when_its_lease_expires(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"])
    supervisor = bench.supervise(replace(QUICK, lease_seconds=1.5))
    bench.reached("step-2")
    kill_worker(bench, run, 1, signal.SIGSTOP)
    bench.release("step-2")
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 2


def test_work_that_reports_nothing_loses_its_lease(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"], deaf=True)
    supervisor = bench.supervise(replace(QUICK, lease_seconds=8, stall_seconds=2))
    bench.reached("step-2")
    until(lambda: bench.read(run).fence == 2)
    bench.release("step-2")
    assert_counted_once(bench, supervisor.wait(run.id, WAIT_SECONDS))


def test_living_worker_outlasts_its_first_lease(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"])
    supervisor = bench.supervise(replace(QUICK, lease_seconds=1.5))
    bench.reached("step-2")
    first = bench.read(run).lease_ms
    assert first is not None
    until(lambda: (bench.read(run).lease_ms or 0) > first + 1500)
    bench.release("step-2")
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 1


def test_hub_killed_while_the_worker_lives(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"])
    with hub_process(bench) as hub:
        bench.reached("step-2")
        hub.kill()
        hub.wait()
    adopter = bench.supervise()
    adopter.leading.wait(WAIT_SECONDS)
    assert bench.folder(run).is_locked()
    bench.release("step-2")
    ended = adopter.wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 1
    assert bench.lines().count("begin 0") == 1


def test_hub_killed_between_result_and_finish(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-3"])
    with hub_process(bench) as hub:
        bench.reached("step-3")
        hub.kill()
        hub.wait()
    bench.release("step-3")
    until(lambda: not bench.folder(run).is_locked())
    assert bench.read(run).state is RunState.RUNNING
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 1


def test_hub_and_worker_killed_together(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["saving-2"])
    with hub_process(bench) as hub:
        bench.reached("saving-2")
        hub.kill()
        hub.wait()
    kill_worker(bench, run, 1, signal.SIGKILL)
    bench.release("saving-2")
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 2
    assert "begin 1" in bench.lines()


def test_hub_killed_between_the_fence_and_the_worker(bench: Bench) -> None:
    run = bench.submit(STEPS)
    with bench.context.database.transaction() as session:
        service.start(session, run.id, 0)
        bench.folder(run).write_job("counting", run.spec)
        bench.folder(run).attempt(1).open(QUICK.plan(1))
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 2


def test_hub_killed_before_the_fence_was_committed(bench: Bench) -> None:
    run = bench.submit(STEPS)
    bench.folder(run).write_job("counting", run.spec)
    bench.folder(run).attempt(1).open(QUICK.plan(1))
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 1


def test_result_of_an_old_worker_does_not_count(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"])
    supervisor = bench.supervise()
    bench.reached("step-2")
    kill_worker(bench, run, 1, signal.SIGKILL)
    until(lambda: bench.read(run).fence == 2)
    stale = AttemptResult(1, ResultStatus.SUCCEEDED, {"value": "stale"}, {})
    bench.folder(run).attempt(1).write_result(stale)
    bench.release("step-2")
    assert_counted_once(bench, supervisor.wait(run.id, WAIT_SECONDS))


def test_result_under_another_fence_does_not_count(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"])
    supervisor = bench.supervise()
    bench.reached("step-2")
    stale = {"fence": 7, "status": "succeeded", "result": {"value": "stale"}, "error": {}}
    write_json(bench.folder(run).attempt(1).path / "result.json", stale)
    kill_worker(bench, run, 1, signal.SIGKILL)
    bench.release("step-2")
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 2


def test_second_supervisor_waits_for_the_first(bench: Bench) -> None:
    first = bench.supervise()
    assert first.leading.wait(WAIT_SECONDS)
    second = bench.supervise()
    assert not second.leading.wait(0.3)
    run = bench.submit(STEPS)
    assert_counted_once(bench, second.wait(run.id, WAIT_SECONDS))
    first.stop()
    assert second.leading.wait(WAIT_SECONDS)
    other = bench.submit(1)
    assert second.wait(other.id, WAIT_SECONDS).state is RunState.SUCCEEDED


def test_second_supervisor_can_stop_while_it_waits(bench: Bench) -> None:
    first = bench.supervise()
    assert first.leading.wait(WAIT_SECONDS)
    second = bench.supervise()
    second.stop()
    assert not second.leading.is_set()
    assert first.leading.is_set()


def test_stopped_supervisor_leaves_its_worker_to_the_next(bench: Bench) -> None:
    run = bench.submit(STEPS, hold=["step-2"])
    first = bench.supervise()
    bench.reached("step-2")
    first.stop()
    assert bench.folder(run).is_locked()
    second = bench.supervise()
    bench.release("step-2")
    ended = second.wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 1


@pytest.mark.parametrize("deaf", [False, True])
def test_supervisor_told_to_end_its_workers_queues_their_runs(bench: Bench, deaf: bool) -> None:
    run = bench.submit(STEPS, hold=["step-2"], deaf=deaf)
    first = bench.supervise(replace(QUICK, cancel_grace_seconds=0.1 if deaf else 20))
    bench.reached("step-2")
    first.stop(end_workers=True)
    assert not bench.folder(run).is_locked()
    queued = bench.read(run)
    assert queued.state is RunState.QUEUED
    assert queued.num_lost == int(deaf)
    bench.release("step-2")
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert "begin 2" in bench.lines()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_workers_killed_at_any_moment(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    run = bench.submit(STEPS, hold=["step-3"])
    supervisor = bench.supervise(replace(QUICK, max_lost=100))
    for fence in range(1, 9):
        until(lambda fence=fence: bench.folder(run).attempt(fence).identity())  # type: ignore[misc]
        threading.Event().wait(chance.uniform(0, 0.8))
        kill_worker(bench, run, fence, signal.SIGKILL)
    bench.release("step-3")
    ended = supervisor.wait(run.id, WAIT_SECONDS)
    assert_counted_once(bench, ended)
    assert ended.fence == 9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_hubs_killed_at_any_moment(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    runs = [bench.submit(STEPS) for _ in range(3)]
    for _ in range(6):
        with hub_process(bench) as hub:
            threading.Event().wait(chance.uniform(0, 0.5))
            hub.kill()
            hub.wait()
    supervisor = bench.supervise()
    for run in runs:
        ended = supervisor.wait(run.id, WAIT_SECONDS)
        assert ended.outcome == {"value": expected_value(STEPS)}
    assert bench.actions().count("counting.counted") == 3
    assert bench.lines().count("end") == 3
