"""Runs in real processes, from queued to final."""

from __future__ import annotations

from tests.runs.conftest import WAIT_SECONDS, Bench
from tests.runs.counting import expected_value

from dizuo.runs.model import RunState


def test_run_succeeds_once(bench: Bench) -> None:
    run = bench.submit(5)
    ended = bench.supervise().wait(run.id, WAIT_SECONDS)
    assert ended.state is RunState.SUCCEEDED
    assert ended.outcome == {"value": expected_value(5)}
    assert bench.lines() == ["begin 0", *(f"step {n}" for n in range(1, 6)), "end"]
    assert bench.actions() == ["run.submitted", "run.started", "counting.counted", "run.succeeded"]
