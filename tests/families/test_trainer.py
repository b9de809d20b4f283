"""A trainer says where it is: often enough for people, and for whoever watches that it lives."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from dizuo.core.progress import Progress
from dizuo.families.base import Cancelled
from dizuo.families.trainer import ReportSteps


def steps(total: int, seconds_each: float) -> list[Progress]:
    """What is reported of so many steps, each of which takes so long."""
    events: list[Progress] = []
    now = 0.0
    callback = ReportSteps(events.append, lambda: False, lambda: now)
    state: Any = SimpleNamespace(global_step=0, max_steps=total, log_history=[{"loss": 0.5}])
    for done in range(1, total + 1):
        now += seconds_each
        state.global_step = done
        callback.on_step_end(None, state, None)
    return events


def test_quick_steps_are_reported_a_hundred_times() -> None:
    events = steps(1000, 0.001)
    assert [event.done for event in events] == list(range(10, 1001, 10))
    assert {event.total for event in events} == {1000}
    assert events[0].metrics == {"loss": 0.5}


def test_slow_steps_are_each_reported() -> None:
    assert [event.done for event in steps(1000, 30)] == list(range(1, 1001))


@pytest.mark.parametrize("seconds_each", [0.5, 2.0, 4.9])
def test_no_report_is_long_in_coming(seconds_each: float) -> None:
    """A hundredth of these takes up to an hour and more."""
    done = [0, *(event.done for event in steps(100_000, seconds_each))]
    gaps = [(after - before) * seconds_each for before, after in pairwise(done)]
    assert max(gaps) < 5 + seconds_each
    assert done[-1] == 100_000


def test_few_steps_are_each_reported() -> None:
    assert [event.done for event in steps(7, 0)] == [1, 2, 3, 4, 5, 6, 7]


def test_it_stops_when_asked_to() -> None:
    state: Any = SimpleNamespace(global_step=1, max_steps=5, log_history=[])
    events: list[Progress] = []
    with pytest.raises(Cancelled):
        ReportSteps(events.append, lambda: True).on_step_end(None, state, None)
    assert events == []
