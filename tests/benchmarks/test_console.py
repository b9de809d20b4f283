"""The console's measurement in the small: a real hub, a real browser, and what is concluded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from benchmarks.console import AIM, Measured, Plan, Turn, conclude
from benchmarks.rig import pages
from benchmarks.rig.crowd.fill import Crowd, Filled
from benchmarks.rig.pages import Place
from tests.benchmarks.test_measurements import last_line
from tests.conftest import require_program
from tests.console.test_walk import registered_pages
from tests.docs.test_screenshots import declared

PLAN = Plan(AIM, repeats=3, num_lookers=20, seconds=30.0, turns=3)
NEWS = (("/", 9), ("/sites", 1))


def test_pages_are_opened_and_sites_check_in_beside_people_who_see_what_goes_on() -> None:
    require_program("chromium")
    sizes = ("--sites", "20", "--stacks", "200", "--samples", "60")
    times = ("--repeats", "1", "--lookers", "20", "--seconds", "2", "--turns", "1")
    said = last_line("benchmarks.console", *sizes, *times, "--only", "/approvals")
    assert (said["name"], said["met"]) == ("console", None)
    opened = said["pages"]
    assert {"/login", "/approvals", "/approvals/new"} <= opened.keys()
    assert all(0 < one["median"] <= one["worst"] <= said["measured"] for one in opened.values())
    languages = {path: set(one["seconds"]) for path, one in opened.items()}
    alone = [path for path, of in languages.items() if of != {"en", "zh"}]
    assert sorted(languages.pop(path).pop() for path in alone) == ["en", "zh"]
    assert said["num_rows"]["samples"] == 60
    [turn] = said["turns"]
    assert said["silent"] == []
    assert len({path for path, _ in turn["news"]}) == 20
    figures = [turn[side][asked] for side in ("alone", "watched") for asked in ("check_in", "api")]
    assert [one["num_errors"] for one in figures] == [0] * 4
    assert all(0 < one["p50"] <= one["p99"] for one in figures)


def place() -> Place:
    """Somewhere where every thing has a name or an id of its own."""
    filled = Filled(
        site="site-00000",
        stack="scenario-0001/2",
        stack_name="scenario-0001",
        dataset="calls-000",
        run_id="run-2",
        other_run_id="run-1",
        release_id="release-1",
        rollout_id="rollout-1",
        improvement_id="improvement-1",
        waiting_id="improvement-2",
        rolling_id="improvement-3",
        num_rows={},
    )
    return Place("http://hub", "session=1", "ann", filled, "run-3", "tickets", "caller-000")


def test_every_declared_page_is_opened_and_twenty_look_at_as_many_things() -> None:
    known = registered_pages()
    opened = {declared(address, known) for address in pages.addresses(place())}
    assert sorted(set(known) - opened) == []
    assert len(set(pages.live(place(), 20))) == 20
    assert pages.live(place(), 41)[40] == "/"


def turn(alone: float, watched: float, asked: str, news: Sequence[tuple[str, int]] = NEWS) -> Turn:
    """One kind of answer gets slower, the other does not."""
    before = {"p50": alone, "p99": 50.0, "num_errors": 0}
    both = {"check_in": before, "api": before}
    return Turn(both, {**both, asked: {**before, "p50": watched}}, news)


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
    pages = {
        "/": {"en": [0.2, 0.3, 0.2], "zh": [0.2, 0.3, 0.4]},
        "/sites": {"en": [0.3, slowest, 0.1], "zh": [0.1, 0.2, 0.1]},
    }
    turns = [turn(10.0, watched, asked), turn(10.0, watched, asked), turn(1.0, 50.0, asked)]
    found = conclude(plan, Measured(pages, turns, {}), {})
    assert (found.met, found.measured) == (met, slowest)
    assert found.raw["times_slower"][asked]["p50"] == pytest.approx(watched / 10.0)
    medians = {path: (one["median"], one["worst_in"]) for path, one in found.raw["pages"].items()}
    assert medians == {"/": (0.3, "zh"), "/sites": (0.3, "en")}
    assert found.raw["slowest_median"] == 0.3


def test_one_live_page_that_is_told_nothing_in_one_turn_is_too_many() -> None:
    told = turn(10.0, 10.0, "api")
    silent = turn(10.0, 10.0, "api", [("/", 9), ("/sites", 0)])
    pages = {"/": {"en": [0.2]}}
    found = conclude(PLAN, Measured(pages, [told, silent, told], {}), {})
    assert (found.met, found.raw["silent"]) == (False, ["/sites"])
    assert conclude(PLAN, Measured(pages, [told] * 3, {}), {}).met is True
    some = replace(PLAN, only=("/runs",))
    assert conclude(some, Measured(pages, [told] * 3, {}), {}).met is None
