"""Scores of what a site answers, and those that every story ends with."""

from __future__ import annotations

from dataclasses import dataclass

from dizuo.core.errors import Unavailable
from dizuo.gates.bootstrap import wilson

_CONFIDENCE = 0.95


class SiteSilent(Unavailable):
    """A site did not answer a request of the demo."""

    code = "demo_site_silent"


@dataclass(frozen=True, slots=True)
class Score:
    """A share of right answers with its 95% Wilson score interval."""

    score: float
    low: float
    high: float

    @classmethod
    def of(cls, num_right: int, num_asked: int) -> Score:
        """The score of `num_right` out of `num_asked` (at least 1)."""
        interval = wilson(num_right, num_asked, _CONFIDENCE)
        return cls(interval.point, interval.low, interval.high)


@dataclass(frozen=True, slots=True)
class StoryScores:
    """The scores of one story; each is a share of right answers with its 95% interval.

    `data` says what the inputs are, in a few words. `random_arm` is None where the layer from
    random labels did not pass its gates, and so was not served. `num_returned` samples came back
    from the drifted site, `num_labels` of them were labelled, `num_test` held-out inputs were asked
    about for each score.
    """

    data: str
    before_drift: Score
    after_drift: Score
    after_update: Score
    random_arm: Score | None
    num_returned: int
    num_labels: int
    num_test: int
