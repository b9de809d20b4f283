"""Calls of several kinds that share places, of which one kind is inside at a time."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.families.text.turns import Call, Turns

PLACES = 2
CALLS_PER_TURN = 3
KINDS = "abcd"


@dataclass
class Hall:
    """Turns as somebody at the door sees them: who came, who was admitted, who has left."""

    turns: Turns = field(default_factory=lambda: Turns(PLACES, CALLS_PER_TURN))
    waiting: list[Call] = field(default_factory=list)
    inside: list[Call] = field(default_factory=list)
    admitted: str = ""
    """The kinds of all that were, in order."""

    def come(self, kinds: str, *, next_turn: bool = False) -> None:
        for kind in kinds:
            self.waiting.append(self.turns.enter(kind, next_turn=next_turn))
            self._look()

    def leave(self, num: int = 1) -> None:
        for _ in range(num):
            self.inside.pop(0)
            self.turns.leave()
            self._look()

    def _look(self) -> None:
        new = [call for call in self.waiting if call.admitted.is_set()]
        self.waiting = [call for call in self.waiting if not call.admitted.is_set()]
        self.inside += new
        self.admitted += "".join(str(call.kind) for call in new)
        assert len(self.inside) <= PLACES
        assert len({call.kind for call in self.inside}) <= 1


def test_calls_of_one_kind_share_the_places() -> None:
    hall = Hall()
    hall.come("aaa")
    assert hall.admitted == "aa"
    hall.leave()
    assert hall.admitted == "aaa"


def test_it_is_taken_while_a_call_is_inside_or_waits() -> None:
    hall = Hall()
    assert not hall.turns.taken()
    hall.come("ab")
    assert hall.turns.taken()
    hall.leave()
    assert hall.turns.taken()
    hall.leave()
    assert not hall.turns.taken()


def test_another_kind_waits_until_the_places_are_free() -> None:
    hall = Hall()
    hall.come("aab")
    hall.leave()
    assert hall.admitted == "aa"  # a place is free, but not for b
    hall.leave()
    assert hall.admitted == "aab"


def test_a_kind_with_calls_without_end_ends_its_turn_when_another_waits() -> None:
    hall = Hall()
    hall.come("aaaaaaaaaa")
    hall.leave(4)
    assert hall.admitted == "aaaaaa"  # nobody else is there
    hall.come("b")
    hall.leave(CALLS_PER_TURN)
    hall.come("a" * 10)
    assert hall.admitted == "aaaaaa" + "a" * CALLS_PER_TURN
    hall.leave(PLACES)
    assert hall.admitted.endswith("ab")
    hall.leave()
    assert hall.admitted.endswith("abaa")


def test_kinds_take_turns_in_the_order_in_which_they_began_to_wait() -> None:
    hall = Hall()
    hall.come("aabcbaaaaab")
    while hall.inside:
        hall.leave()
    assert hall.admitted == "aa" + "aaa" + "bbb" + "c" + "aa"


def test_a_kind_may_have_the_next_turn() -> None:
    hall = Hall()
    hall.come("aabbcc")
    hall.come("e", next_turn=True)
    while hall.inside:
        hall.leave()
    assert hall.admitted == "aaebbcc"


def test_who_gives_up_holds_nobody_up() -> None:
    hall = Hall()
    hall.come("aab")
    (call,) = hall.waiting
    assert hall.turns.give_up(call)
    hall.waiting.clear()
    hall.come("a" * 9)
    hall.leave(8)
    assert hall.admitted == "a" * 10  # as if b had never come


def test_who_was_admitted_can_no_longer_give_up() -> None:
    hall = Hall()
    hall.come("a")
    assert not hall.turns.give_up(hall.inside[0])


@given(st.lists(st.sampled_from([*KINDS, "leave"]), max_size=200))
def test_everybody_is_admitted_after_at_most_one_turn_of_each_other_kind(steps: list[str]) -> None:
    hall = Hall()
    for step in steps:
        if step != "leave":
            hall.come(step)
        elif hall.inside:
            hall.leave()
    behind = {kind: len(hall.admitted) for kind in {str(call.kind) for call in hall.waiting}}
    while hall.inside:
        hall.leave()
    assert not hall.waiting
    assert len(hall.admitted) == sum(step != "leave" for step in steps)
    for kind, start in behind.items():
        first = hall.admitted.index(kind, start)
        others = Counter(hall.admitted[start:first])
        assert all(count <= CALLS_PER_TURN for count in others.values())


def test_threads_are_inside_with_their_own_kind_alone() -> None:
    turns, lock = Turns(PLACES, CALLS_PER_TURN), threading.Lock()
    inside: Counter[str] = Counter()
    seen: list[dict[str, int]] = []

    def call(kind: str) -> bool:
        with turns.turn(kind, lambda: True) as admitted:
            with lock:
                inside[kind] += 1
                seen.append(dict(+inside))
            with lock:
                inside[kind] -= 1
        return admitted

    draw = random.Random(0)
    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(call, draw.choices(KINDS, k=2000)))
    assert all(answers)
    assert len(answers) == len(seen) == 2000
    assert all(len(kinds) == 1 and sum(kinds.values()) <= PLACES for kinds in seen)


def test_a_call_that_nobody_wants_gets_no_place() -> None:
    turns = Turns(1, 1)
    with turns.turn("a", lambda: True) as first, turns.turn("b", lambda: False) as second:
        assert (first, second) == (True, False)
    with turns.turn("b", lambda: True) as third:
        assert third


@pytest.mark.parametrize("admitted", [False, True])
def test_a_call_whose_asking_fails_keeps_no_place(*, admitted: bool) -> None:
    turns = Turns(1, 1)
    turns.enter("a")

    def ask() -> bool:
        if admitted:
            turns.leave()  # so that the call that waits comes in
        raise RuntimeError("nobody can be asked")

    with pytest.raises(RuntimeError, match="nobody"), turns.turn("b", ask):
        pass
    if not admitted:
        turns.leave()
    assert not turns.taken()
