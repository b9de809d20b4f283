"""Waiting for what a hub or a site does by itself: as long as something moves, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dizuo.core.errors import Unavailable

T = TypeVar("T")


class TookTooLong(Unavailable):
    """Something the demo waits for did not happen."""

    code = "demo_timeout"


@dataclass(frozen=True, slots=True)
class Patience:
    """To go on waiting until nothing has moved for `quiet_seconds`, looking every `look_seconds`.

    `clock` counts seconds from anywhere.
    """

    quiet_seconds: float = 180.0
    look_seconds: float = 0.2
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


def wait_for(
    what: str, look: Callable[[], tuple[object, T | None]], patience: Patience | None = None
) -> T:
    """What `look` finds, as soon as it finds something.

    Args:
        what: what is waited for, for the error.
        look: says what it sees now (anything that can be compared) and what it has found. It may
            take as long as it likes: only the time in which it sees the same counts.
        patience: how long to wait after what it sees has changed for the last time.

    Raises:
        TookTooLong: nothing moved for that long.
    """
    patience = patience or Patience()
    before, deadline = object(), 0.0
    while True:
        seen, found = look()
        if found is not None:
            return found
        if seen != before:
            before, deadline = seen, patience.clock() + patience.quiet_seconds
        elif patience.clock() >= deadline:
            raise TookTooLong(
                f"Nothing moved for {patience.quiet_seconds:.0f} s while the demo waited for "
                f"{what}.",
                next_step="Read the logs of the hub and the sites in the demo's folder.",
            )
        patience.pause(patience.look_seconds)
