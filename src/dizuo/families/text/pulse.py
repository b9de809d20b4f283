"""Signs of life while llama.cpp says nothing, as it does while it reads a prompt. Light.

It reads as many tokens in one go as a prompt may have, which takes minutes where the base is large
and the machine small, and cannot be asked meanwhile. So a thread beside the call tells that it is
at work, as long as there is reason to think so: the process takes processor time, and llama.cpp has
not been silent for longer than any prompt is read. An engine that hangs falls silent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 0.5
SILENT_SECONDS = 600.0
"""How long llama.cpp may say nothing and still count as at work."""
_WORKING_SHARE = 0.01
"""Of one processor: one that computes takes more even where others want it too."""


class Work:
    """One call to llama.cpp: whether it still seems to be worked on.

    Args:
        clock: seconds that pass.
        processor: seconds of processor time that the process has taken.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._processor = clock, processor
        self._begun = self._looked = clock()
        self._taken = processor()

    def goes_on(self, heard: float) -> bool:
        """Whether the process has been computing since the last look, and llama.cpp has said
        something, at `heard` by the clock, not too long ago."""
        now, taken = self._clock(), self._processor()
        computing = taken - self._taken >= _WORKING_SHARE * (now - self._looked)
        self._looked, self._taken = now, taken
        return computing and now - max(heard, self._begun) < SILENT_SECONDS


class Pulse:
    """When llama.cpp has last said something, to whichever of its calls."""

    def __init__(self) -> None:
        self._heard = time.monotonic()

    def beat(self) -> None:
        """It says something now."""
        self._heard = time.monotonic()

    @contextmanager
    def felt(self, tell: Callable[[], bool]) -> Iterator[threading.Event]:
        """Call `tell` from a thread of its own, every LOOK_SECONDS while the block runs and
        llama.cpp is at work in it.

        Yields:
            What is set once `tell` has answered False: nobody wants the call any more.
        """
        ended, unwanted, work = threading.Event(), threading.Event(), Work()

        def look() -> None:
            while not ended.wait(LOOK_SECONDS):
                if work.goes_on(self._heard) and not tell():
                    unwanted.set()
                    return

        watcher = threading.Thread(target=look, name="pulse", daemon=True)
        watcher.start()
        try:
            yield unwanted
        finally:
            ended.set()
            watcher.join()
