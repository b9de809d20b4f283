"""What every Hugging Face Trainer needs here: sealed checkpoints, progress, cancelling. Heavy.

Transformers' Trainer saves and restores weights, optimiser, schedule, random generators and its
place in the data, so a resumed run takes the same steps; what it lacks is knowing whether a
checkpoint is whole. See `dizuo.families.checkpoints`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from dizuo.core.progress import Progress, Reporter
from dizuo.families import checkpoints
from dizuo.families.base import Cancelled

_REPORTS = 100
_REPORT_SECONDS = 5.0


class SealCheckpoints(TrainerCallback):  # type: ignore[misc]  # Transformers is not typed
    """Seals each checkpoint once the trainer has written it, and drops old ones."""

    def __init__(self, work: str) -> None:
        self._work = work

    def on_save(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """The trainer has written every file of its checkpoint."""
        root = Path(args.output_dir)
        checkpoints.seal(root / f"checkpoint-{state.global_step}", self._work)
        checkpoints.prune(root, self._work)


class ReportSteps(TrainerCallback):  # type: ignore[misc]
    """Reports about a hundred times in all, and every few seconds; stops when asked to.

    The seconds are for whoever watches: work that says nothing for long is taken for stuck and
    ended, and a hundredth of a long training takes long.
    """

    def __init__(
        self,
        report: Reporter,
        cancelled: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._cancelled = cancelled
        self._clock = clock
        self._reported = clock()

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """One optimiser step is done.

        Raises:
            Cancelled: someone asked to stop.
        """
        if self._cancelled():
            raise Cancelled
        done, total = state.global_step, state.max_steps
        is_due = self._clock() - self._reported >= _REPORT_SECONDS
        if is_due or done % max(1, total // _REPORTS) == 0 or done == total:
            self._reported = self._clock()
            self._report(Progress("train", done, total, metrics=_last_metrics(state)))


def _last_metrics(state: TrainerState) -> dict[str, float]:
    last = state.log_history[-1] if state.log_history else {}
    return {name: float(last[name]) for name in ("loss", "learning_rate") if name in last}


def train(trainer: Trainer, work: str) -> None:
    """Train to the end, from the newest whole checkpoint of this work if there is one.

    Args:
        trainer: with `SealCheckpoints(work)` among its callbacks, saving by steps.
        work: the digest of what is trained.
    """
    root = Path(trainer.args.output_dir)
    checkpoints.prune(root, work)
    found = checkpoints.newest(root, work)
    trainer.remove_callback(PrinterCallback)  # it prints each log line as a dictionary
    trainer.train(resume_from_checkpoint=None if found is None else str(found))
