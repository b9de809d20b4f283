"""The console's measurement in the small: a real hub, a real browser, and what is concluded."""

from __future__ import annotations

import pytest
from benchmarks.console import AIM, Plan, Turn, conclude
from benchmarks.rig.crowd import Crowd
from tests.benchmarks.test_measurements import last_line
from tests.conftest import require_program


def test_every_page_is_opened_and_sites_check_in_beside_people() -> None:
    require_program("chromium")
    sizes = ("--sites", "20", "--stacks", "200", "--samples", "20")
    times = ("--repeats", "1", "--lookers", "2", "--seconds", "1", "--turns", "1")
    said = last_line("benchmarks.console", *sizes, *times)
    assert (said["name"], said["met"]) == ("console", None)
    assert {"/", "/stacks", "/data", "/runs", "/review", "/sites", "/audit"} <= set(said["pages"])
    assert all(0 < one["median"] <= said["measured"] for one in said["pages"].values())
    [turn] = said["turns"]
    assert turn["num_messages"] > 0
    assert (turn["alone"]["num_errors"], turn["watched"]["num_errors"]) == (0, 0)


def turn(alone: float, watched: float) -> Turn:
    return Turn({"p50": alone, "p99": 50.0}, {"p50": watched, "p99": 60.0}, 100)


@pytest.mark.parametrize(
    ("crowd", "num_lookers", "slowest", "watched", "met"),
    [
        (AIM, 20, 0.99, 11.0, True),
        (AIM, 20, 1.01, 11.0, False),
        (AIM, 20, 0.5, 11.1, False),
        (AIM, 19, 0.5, 10.0, None),
        (Crowd(9_999, 1_000, 100_000), 20, 0.5, 10.0, None),
    ],
)
def test_both_aims_must_be_met_at_their_size(
    crowd: Crowd, num_lookers: int, slowest: float, watched: float, met: bool | None
) -> None:
    plan = Plan(crowd, repeats=3, num_lookers=num_lookers, seconds=30.0, turns=3)
    pages = {"/": [0.2, 0.3, 9.0], "/sites": [slowest, slowest, 0.1]}
    turns = [turn(10.0, watched), turn(10.0, watched), turn(1.0, 50.0)]
    found = conclude(plan, pages, turns, {})
    assert (found.met, found.measured) == (met, max(slowest, 0.3))
    assert found.raw["check_ins_slower"]["p50"] == pytest.approx(watched / 10.0)
