"""The demo waits as long as something moves, and not much longer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dizuo.demo.waiting import Patience, TookTooLong, wait_for


@dataclass
class Clock:
    """A clock that moves when somebody pauses, or when it is told to."""

    seconds: float = 0.0

    def move(self, seconds: float) -> None:
        self.seconds += seconds

    def patience(self, quiet_seconds: float = 180.0) -> Patience:
        return Patience(quiet_seconds, 1.0, lambda: self.seconds, self.move)


def looks(*seen: tuple[object, str | None]) -> Iterator[tuple[object, str | None]]:
    """What is seen at each look; the last again and again."""
    yield from seen
    while True:
        yield seen[-1]


def test_what_is_found_at_once_costs_no_pause() -> None:
    clock = Clock()
    assert wait_for("it", lambda: (1, "here"), clock.patience()) == "here"
    assert clock.seconds == 0


def test_what_moves_is_waited_for_however_long_it_takes() -> None:
    clock, seen = Clock(), looks(*((step, None) for step in range(1000)), (1000, "here"))
    assert wait_for("it", lambda: next(seen), clock.patience(5)) == "here"
    assert clock.seconds == 1000


def test_what_moves_no_more_is_given_up_and_named() -> None:
    clock, seen = Clock(), looks((1, None), (2, None))
    with pytest.raises(TookTooLong) as told:
        wait_for("a miracle", lambda: next(seen), clock.patience())
    assert told.value.message == "Nothing moved for 180 s while the demo waited for a miracle."
    assert "logs" in told.value.next_step
    assert clock.seconds == 181


def test_the_time_that_a_look_takes_does_not_count() -> None:
    clock, seen = Clock(), looks(("training", None), ("trained", None), ("trained", "here"))

    def look() -> tuple[object, str | None]:
        clock.move(10_000)
        return next(seen)

    assert wait_for("a slow machine", look, clock.patience()) == "here"
