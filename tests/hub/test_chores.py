"""Chores are done at once, again and again, whatever one of them comes to, and only in turn."""

from __future__ import annotations

import threading

import pytest
from tests.improvements.conftest import until

from dizuo.core.errors import Unavailable
from dizuo.hub.chores import Chore, doing


def test_a_chore_is_done_at_once_and_again_and_ends_with_its_block() -> None:
    done: list[int] = []
    with doing(Chore("dishes", "left dirty", 0.01, lambda: done.append(1))):
        until(lambda: len(done) > 2)
        assert "dishes" in {thread.name for thread in threading.enumerate()}
    assert "dishes" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("error", [Unavailable("No water."), ZeroDivisionError("odd")])
def test_one_that_fails_is_told_and_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise error

    with doing(Chore("dishes", "the dishes were left", 0.01, work)):
        until(lambda: len(tries) > 1)
    assert "the dishes were left" in caplog.text
    assert str(error) in caplog.text


def test_one_whose_turn_has_not_come_waits_for_it() -> None:
    turn, done = threading.Event(), threading.Event()
    with doing(Chore("dishes", "left dirty", 60, done.set, turn)):
        assert not done.wait(0.1)
        turn.set()
        assert done.wait(60)


def test_one_whose_turn_never_comes_ends_all_the_same() -> None:
    done = threading.Event()
    with doing(Chore("dishes", "left dirty", 60, done.set, threading.Event())):
        pass
    assert not done.is_set()
