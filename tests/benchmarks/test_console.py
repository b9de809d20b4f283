"""The console's measurement in the small: a real hub, a real browser, and what is concluded."""

from __future__ import annotations

import pytest
from benchmarks.console import AIM, Plan, Turn, conclude
from benchmarks.rig.crowd.fill import Crowd
from tests.benchmarks.test_measurements import last_line
from tests.conftest import require_program


def test_every_page_is_opened_and_sites_check_in_beside_people() -> None:
    require_program("chromium")
    sizes = ("--sites", "20", "--stacks", "200", "--samples", "20")
    times = ("--repeats", "1", "--lookers", "2", "--seconds", "3", "--turns", "1")
    said = last_line("benchmarks.console", *sizes, *times)
    assert (said["name"], said["met"]) == ("console", None)
    assert {"/", "/stacks", "/data", "/runs", "/review", "/sites", "/audit"} <= set(said["pages"])
    assert all(0 < one["median"] <= said["measured"] for one in said["pages"].values())
    [turn] = said["turns"]
    assert turn["num_messages"] > 0
    figures = [turn[side][asked] for side in ("alone", "watched") for asked in ("check_in", "api")]
    assert [one["num_errors"] for one in figures] == [0] * 4
    assert all(0 < one["p50"] <= one["p99"] for one in figures)


def turn(alone: float, watched: float, asked: str) -> Turn:
    """One kind of answer gets slower, the other does not."""
    before = {"p50": alone, "p99": 50.0, "num_errors": 0}
    both = {"check_in": before, "api": before}
    return Turn(both, {**both, asked: {**before, "p50": watched}}, 100)


@pytest.mark.parametrize("asked", ["check_in", "api"])
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
def test_both_aims_must_be_met_at_their_size(  # noqa: PLR0917  a table
    crowd: Crowd, num_lookers: int, slowest: float, watched: float, met: bool | None, asked: str
) -> None:
    plan = Plan(crowd, repeats=3, num_lookers=num_lookers, seconds=30.0, turns=3)
    pages = {"/": [0.2, 0.3, 9.0], "/sites": [slowest, slowest, 0.1]}
    turns = [turn(10.0, watched, asked), turn(10.0, watched, asked), turn(1.0, 50.0, asked)]
    found = conclude(plan, pages, turns, {})
    assert (found.met, found.measured) == (met, max(slowest, 0.3))
    assert found.raw["times_slower"][asked]["p50"] == pytest.approx(watched / 10.0)
