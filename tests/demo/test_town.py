"""The town's commands, and the trainers that a hub leaves behind when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.runs.conftest import Bench, bench, counting_installed, until

from dizuo.demo.processes import ProcessFailed
from dizuo.demo.town import end_trainers, run_command
from dizuo.runs import process
from dizuo.runs.folder import ResultStatus

__all__ = ["bench", "counting_installed"]  # fixtures here too


def test_a_command_that_does_not_end_is_told() -> None:
    with pytest.raises(ProcessFailed) as told:
        run_command("agent join", ["agent", "join", "dizuo-join-secret"], timeout_seconds=0.01)
    assert told.value.message == "dizuo agent join did not end within 0 s."
    assert told.value.next_step
    assert "secret" not in str(told.value)
    assert told.value.__cause__ is None


def test_a_command_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    arguments = ["--home", str(tmp_path), "keys", "init"]
    run_command("keys init", arguments)
    with pytest.raises(ProcessFailed) as told:
        run_command("keys init", arguments)
    assert told.value.message.startswith("dizuo keys init failed: This hub has its keys")


@pytest.mark.parametrize("deaf", [False, True])
def test_a_trainer_that_outlives_its_hub_is_asked_to_end_and_then_made_to(
    bench: Bench, deaf: bool
) -> None:
    run = bench.submit(hold=["step-1"], deaf=deaf)
    supervisor = bench.supervise()
    bench.reached("step-1")
    supervisor.stop()
    attempt = bench.folder(run).attempt(1)
    worker = attempt.identity()
    assert worker is not None
    assert process.is_alive(worker)
    end_trainers(bench.home, grace_seconds=0.5 if deaf else 60)
    until(lambda: not process.is_alive(worker))
    result = attempt.result()
    said = result.status if result else None
    assert said is (None if deaf else ResultStatus.INTERRUPTED)


def test_a_home_without_runs_has_no_trainers_to_end(tmp_path: Path) -> None:
    end_trainers(tmp_path / "hub")
