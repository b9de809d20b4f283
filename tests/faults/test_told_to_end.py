"""A hub that is told to end while it starts ends in good order."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.faults.conftest import hub_of, prepare


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "place",
    [
        "dizuo.hub.home:prepare before 1",
        "dizuo.runs.supervisor:Supervisor.start after 1",
        "dizuo.improvements.workflow:Workflows.launch before 1",
        "dizuo.improvements.workflow:Workflows.launch after 1",
        "dizuo.console.app:mount after 1",
    ],
)
def test_it_ends_in_good_order(tmp_path: Path, place: str, told: signal.Signals) -> None:
    home = tmp_path / "home"
    prepare(home)
    with hub_of(home, f"{place} {told.name}") as hub:
        assert hub.wait(60) == 0, (tmp_path / "hub.log").read_text()
    log = (tmp_path / "hub.log").read_text()
    assert "Exception" not in log
    assert "in a way it should not" not in log
