"""`demo-report.json`, format version 1: what a run of the demo measured, for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dizuo.core.files import write_atomic
from dizuo.demo.measure import Score

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StoryScores:
    """The scores of one story; each is a share of right answers with its 95% interval.

    `num_returned` samples came back from the drifted site, `num_labels` of them were labelled,
    `num_test` held-out images were asked about for each score.
    """

    before_drift: Score
    after_drift: Score
    after_update: Score
    random_arm: Score
    num_returned: int
    num_labels: int
    num_test: int


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Everything a run of the demo leaves behind; `stacks`, `sites` and `trace` as the hub says."""

    seconds: float
    seed: int
    stacks: Sequence[Mapping[str, Any]]
    sites: Sequence[Mapping[str, Any]]
    vision: StoryScores
    trace: Sequence[Mapping[str, Any]]
    untouched_sites_identical: bool
    cached: Mapping[str, bool]

    def write(self, path: Path) -> None:
        """Write the report as indented JSON, atomically."""
        body = {"format": FORMAT, **asdict(self)}
        write_atomic(path, json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n")
