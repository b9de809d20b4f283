"""How long work tells where it is: one event type, from training to transfer to the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward.

    `stage` names what runs now (`train`, `export`, `fetch`); `done` of `total` counts in `unit`
    (`step`, `byte`, `row`); a `total` of 0 means it is not known. `message` is one line for people,
    `metrics` are figures such as a loss.
    """

    stage: str
    done: int = 0
    total: int = 0
    unit: str = "step"
    message: str = ""
    metrics: dict[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


Reporter = Callable[[Progress], None]
"""Takes an event. Never raises, never blocks for long."""


def silent(_event: Progress) -> None:
    """The reporter for callers that do not want to hear."""
