"""What training runs say in their folders, without a trainer."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dizuo.core.progress import Progress
from dizuo.runs.events import EventWriter
from dizuo.runs.folder import RunFolder
from dizuo.runs.watch import Limits

FENCE = 1
NUM_STEPS = 5_000
"""Of a whole run."""


def begin(folder: RunFolder) -> None:
    """Make a run's only attempt known."""
    folder.attempt(FENCE).open(Limits().plan(FENCE))


def tell(folder: RunFolder, steps: Iterable[int]) -> None:
    """Say what came of some steps: a loss that falls, and a rate."""
    writer = EventWriter(folder.attempt(FENCE).events_path)
    for step in steps:
        writer(_said(step))
    writer.close()


def _said(step: int) -> Progress:
    loss = 3 / math.sqrt(1 + step / 50) + 0.1 * math.sin(step / 9)
    metrics = {"loss": loss, "learning_rate": 1e-3 / (1 + step / 1000)}
    return Progress("train", step, NUM_STEPS, "step", metrics=metrics)
