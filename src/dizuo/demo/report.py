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

    def broken_promises(self) -> list[str]:
        """What the demo promises and this run did not keep, one sentence each."""
        scores, drifted = self.vision, self.sites[-1]
        limit = drifted["bytes_first_install"] / 10
        promises = (
            (scores.num_test >= 400, "Fewer than 400 images were held out."),
            (scores.num_labels <= 300, "More than 300 labels were used."),
            (scores.before_drift.score >= 0.93, "Before the drift less than 93% was read right."),
            (scores.after_drift.score <= 0.5, "The drift did not bring the site below 50%."),
            (scores.after_update.score >= 0.9, "After the update less than 90% was read right."),
            (drifted["bytes_last_update"] <= limit, "The update was over a tenth of the install."),
            (self.untouched_sites_identical, "The untouched sites answer differently."),
            (
                [self.trace[0][key] for key in ("kind", "id", "digest")]
                == ["site", drifted["name"], drifted["stacks"][0]["digest"]],
                "The trace begins wrongly.",
            ),
            (self.trace[-1]["kind"] == "sample", "The trace does not lead to samples."),
        )
        return [sentence for kept, sentence in promises if not kept]

    def write(self, path: Path) -> None:
        """Write the report as indented JSON, atomically."""
        body = {"format": FORMAT, **asdict(self)}
        write_atomic(path, json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n")
