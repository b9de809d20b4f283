"""What each story promises, and whether a run kept it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dizuo.demo.measure import StoryScores

_UPDATE_SHARE = 0.1
"""An update is at most this share of the bytes of the first install."""


@dataclass(frozen=True, slots=True)
class Promise:
    """How right a story's answers are at least before its drift and after its update, how right at
    most between them, and from how many labels; measured on `num_test` held-out `things`."""

    things: str
    num_test: int
    before_drift: float
    after_drift: float
    after_update: float
    num_labels: int

    def broken_by(self, scores: StoryScores) -> list[str]:
        """What these scores miss, one sentence each."""
        before, after = f"{self.before_drift:.0%}", f"{self.after_update:.0%}"
        kept = {
            f"Fewer than {self.num_test} {self.things} were held out.": scores.num_test
            >= self.num_test,
            f"More than {self.num_labels} labels were used.": scores.num_labels <= self.num_labels,
            f"Before the drift less than {before} of the {self.things} were read right.": (
                scores.before_drift.score >= self.before_drift
            ),
            f"The drift left over {self.after_drift:.0%} of the {self.things} read right.": (
                scores.after_drift.score <= self.after_drift
            ),
            f"After the update less than {after} of the {self.things} were read right.": (
                scores.after_update.score >= self.after_update
            ),
        }
        return [sentence for sentence, holds in kept.items() if not holds]


def broken_at(
    site: Mapping[str, Any], trace: Sequence[Mapping[str, Any]], update_bytes: int
) -> list[str]:
    """What the bytes of the drifted site's update and the trace of a stack that it runs miss."""
    running = {stack["digest"] for stack in site["stacks"]}
    first, last = trace[0], trace[-1]
    begins = (first["kind"], first["id"]) == ("site", site["name"]) and first["digest"] in running
    limit = site["bytes_first_install"] * _UPDATE_SHARE
    kept = {
        f"The update of {site['name']} was over a tenth of its install.": update_bytes <= limit,
        f"The trace from {site['name']} begins wrongly.": begins,
        f"The trace from {site['name']} does not lead to samples.": last["kind"] == "sample",
    }
    return [sentence for sentence, holds in kept.items() if not holds]
