"""What the samples that wait for review are expected to be worth: how many of their answers a
reviewer would change, going by those of the same kind that were reviewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dizuo.datasets.samples import Tally
from dizuo.gates.bootstrap import Interval, wilson

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """Of samples taken for one reason: how many wait, and the share of the reviewed ones in which
    the model's answer was changed; None where none was reviewed."""

    reason: str
    num_waiting: int
    changed: Interval | None

    @property
    def corrections(self) -> tuple[float, float, float] | None:
        """Expected among those that wait: at least, about, at most, by the share's interval."""
        if self.changed is None:
            return None
        low, point, high = self.changed.low, self.changed.point, self.changed.high
        return self.num_waiting * low, self.num_waiting * point, self.num_waiting * high


@dataclass(frozen=True, slots=True)
class Expectation:
    """`num_unknown` samples wait for whose reason nothing was reviewed yet; they count nowhere."""

    shares: Sequence[Share]

    @property
    def num_unknown(self) -> int:
        """Waiting samples of which nothing can be said."""
        return sum(one.num_waiting for one in self.shares if one.changed is None)

    @property
    def corrections(self) -> tuple[float, float, float] | None:
        """The sums over the reasons, of the lows and highs too: wider than an interval of the
        whole, never narrower. None where nothing can be said."""
        known = [one.corrections for one in self.shares if one.corrections is not None]
        if not known:
            return None
        low, about, high = (sum(column) for column in zip(*known, strict=True))
        return low, about, high


def expect(tallies: Sequence[Tally]) -> Expectation:
    """What follows from what became of samples so far."""
    return Expectation(
        [
            Share(
                one.reason,
                one.num_waiting,
                wilson(one.num_changed, one.num_reviewed, CONFIDENCE) if one.num_reviewed else None,
            )
            for one in tallies
        ]
    )
