"""The town's commands: what goes wrong with one is told in a sentence, without its arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from dizuo.demo.processes import ProcessFailed
from dizuo.demo.town import run_command


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
