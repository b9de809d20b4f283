"""What makes a row worth returning. Scores are found by entry point, built-ins like a stranger's.

A score is registered in the group `dizuo.sampler_scores` under the name that the setting
`sampler_scores` lists; what it leads to satisfies `SamplerScore`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal, Protocol, cast

from dizuo.agent.errors import UnknownScore
from dizuo.families.base import Observation

ENTRY_POINT_GROUP = "dizuo.sampler_scores"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Percentiles, 0 to 1: at most this sure, at least this new."""

    uncertain_at_most: float = 0.05
    novel_at_least: float = 0.98


class SamplerScore(Protocol):
    """One reason to return a row."""

    reason: Literal["uncertain", "novel"]
    """The reason a returned sample carries."""

    def keeps(self, observation: Observation, thresholds: Thresholds) -> bool:
        """Whether this row is worth returning. Fast, and without side effects."""


class Uncertainty:
    """Rows the model is unusually unsure of, measured against its own calibration rows."""

    reason: Literal["uncertain", "novel"] = "uncertain"

    def keeps(self, observation: Observation, thresholds: Thresholds) -> bool:
        """Whether the confidence lies in the lowest percentiles."""
        return observation.confidence_percentile <= thresholds.uncertain_at_most


class Novelty:
    """Rows unusually far from what the model learned from."""

    reason: Literal["uncertain", "novel"] = "novel"

    def keeps(self, observation: Observation, thresholds: Thresholds) -> bool:
        """Whether the distance was looked at and lies in the highest percentiles."""
        seen = observation.novelty_percentile
        return seen is not None and seen >= thresholds.novel_at_least


uncertainty: SamplerScore = Uncertainty()
novelty: SamplerScore = Novelty()


def load_scores(names: tuple[str, ...]) -> tuple[SamplerScore, ...]:
    """The scores of these names, in their order.

    Raises:
        UnknownScore: nothing installed offers one of them.
    """
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    for name in names:
        if name not in points:
            raise UnknownScore(
                f"There is no sampler score {name!r}.",
                next_step=f"Installed scores: {', '.join(sorted(points)) or 'none'}.",
            )
    return tuple(cast(SamplerScore, points[name].load()) for name in names)
