"""Who may ask llama.cpp now: calls with the same adapters together, the others when their turn is.

llama.cpp batches the tokens of its slots only where their adapters are the same, and embeddings
only with embeddings; slots that differ wait for each other, one answer at a time. So calls wait
here instead, until those of their own kind are asked. Light.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call that has come; `admitted` is set when it may go on."""

    kind: Hashable
    admitted: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Shares a number of places between kinds of calls, of which only one is inside at a time.

    A kind whose turn it is keeps it while it has calls; once another waits, it lets in at most
    `calls_per_turn` more. Kinds take turns in the order in which they began to wait, so none waits
    longer than one turn of each other kind. Safe from any number of threads.

    Args:
        places: calls inside at the same time.
        calls_per_turn: how many a kind lets in while others wait.
    """

    def __init__(self, places: int, calls_per_turn: int) -> None:
        self._places = places
        self._calls_per_turn = calls_per_turn
        self._lock = threading.Lock()
        self._kind: Hashable = None
        self._num_inside = 0
        self._num_since_others = 0
        """Calls let in since another kind has been waiting."""
        self._waiting: OrderedDict[Hashable, deque[Call]] = OrderedDict()

    @contextmanager
    def turn(
        self, kind: Hashable, wanted: Callable[[], bool], *, next_turn: bool = False
    ) -> Iterator[bool]:
        """A place for one call of a kind, for as long as the block runs.

        Args:
            kind: calls of equal kinds may be inside together.
            wanted: asked every second while the call waits; False gives it up.
            next_turn: as `enter`.

        Yields:
            Whether there is a place: False if the call was given up.
        """
        call = self.enter(kind, next_turn=next_turn)
        if not self._wait(call, wanted):
            yield False
            return
        try:
            yield True
        finally:
            self.leave()

    def _wait(self, call: Call, wanted: Callable[[], bool]) -> bool:
        """Whether a call was admitted, or else given up; it keeps no place if `wanted` raises."""
        try:
            while not call.admitted.wait(_LOOK_SECONDS):
                if not wanted() and self.give_up(call):
                    return False
        except BaseException:
            if not self.give_up(call):
                self.leave()
            raise
        return True

    def enter(self, kind: Hashable, *, next_turn: bool = False) -> Call:
        """A call comes, and waits until it is admitted, which may be at once. With `next_turn` its
        kind's turn is the next one, whoever waited before."""
        call = Call(kind)
        with self._lock:
            self._waiting.setdefault(kind, deque()).append(call)
            if next_turn:
                self._waiting.move_to_end(kind, last=False)
            self._admit()
        return call

    def give_up(self, call: Call) -> bool:
        """Wait no more; False if the call was admitted just now, and must leave."""
        with self._lock:
            if call.admitted.is_set():
                return False
            queue = self._waiting[call.kind]
            queue.remove(call)
            if not queue:
                del self._waiting[call.kind]
            self._admit()
            return True

    def leave(self) -> None:
        """A call that was admitted has ended."""
        with self._lock:
            self._num_inside -= 1
            self._admit()

    def taken(self) -> bool:
        """Whether a call is inside or waits."""
        with self._lock:
            return self._num_inside > 0 or bool(self._waiting)

    def _admit(self) -> None:
        """Let in whoever may go now."""
        while self._waiting and self._num_inside < self._places:
            if not self._may_go_on():
                if self._num_inside:
                    return
                self._begin_turn()
            queue = self._waiting[self._kind]
            queue.popleft().admitted.set()
            self._num_inside += 1
            if not queue:
                del self._waiting[self._kind]
            if self._others_wait():
                self._num_since_others += 1

    def _may_go_on(self) -> bool:
        """Whether the kind whose turn it is lets in another of its calls."""
        if self._kind not in self._waiting:
            return False
        return not self._others_wait() or self._num_since_others < self._calls_per_turn

    def _begin_turn(self) -> None:
        if self._kind in self._waiting:
            self._waiting.move_to_end(self._kind)
        self._kind = next(iter(self._waiting))
        self._num_since_others = 0

    def _others_wait(self) -> bool:
        return any(kind != self._kind for kind in self._waiting)
