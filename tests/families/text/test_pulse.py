"""Signs of life while llama.cpp says nothing: as long as it works, not for ever."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from dizuo.families.text import pulse
from dizuo.families.text.pulse import SILENT_SECONDS, Pulse, Work

PATIENCE_SECONDS = 60


@dataclass
class Machine:
    """Two clocks that stand still until they are moved."""

    now: float = 1000.0
    taken: float = 7.0

    def work(self) -> Work:
        return Work(lambda: self.now, lambda: self.taken)

    def pass_time(self, seconds: float, *, share: float) -> None:
        self.now += seconds
        self.taken += seconds * share


@pytest.mark.parametrize(("share", "working"), [(1.0, True), (0.05, True), (0.001, False)])
def test_who_computes_is_at_work(share: float, *, working: bool) -> None:
    machine = Machine()
    work = machine.work()
    for _ in range(3):
        machine.pass_time(0.5, share=share)
        assert work.goes_on(heard=0.0) is working


def test_who_stops_computing_is_no_longer_at_work() -> None:
    machine = Machine()
    work = machine.work()
    machine.pass_time(100, share=1.0)
    assert work.goes_on(heard=0.0)
    machine.pass_time(1, share=0.0)
    assert not work.goes_on(heard=0.0)


def test_who_computes_and_never_says_a_word_hangs() -> None:
    machine = Machine()
    work = machine.work()
    machine.pass_time(SILENT_SECONDS - 1, share=1.0)
    assert work.goes_on(heard=0.0)
    machine.pass_time(1, share=1.0)
    assert not work.goes_on(heard=0.0)
    machine.pass_time(1, share=1.0)
    assert work.goes_on(heard=machine.now - 1)


def test_a_call_is_told_of_while_the_process_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "LOOK_SECONDS", 0.01)
    told: list[str] = []

    def tell() -> bool:
        told.append(threading.current_thread().name)
        return len(told) < 3

    with Pulse().felt(tell) as unwanted:
        while not unwanted.is_set():
            sum(range(1000))
    assert told == ["pulse"] * 3
    assert "pulse" not in [one.name for one in threading.enumerate()]


def test_nothing_is_told_of_a_call_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "LOOK_SECONDS", PATIENCE_SECONDS)
    told: list[int] = []

    def tell() -> bool:
        told.append(1)
        return True

    with pytest.raises(ZeroDivisionError), Pulse().felt(tell):
        raise ZeroDivisionError
    assert not told
    assert "pulse" not in [one.name for one in threading.enumerate()]
