"""`demo-report.json`, format version 1: what a run of the demo measured, for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dizuo.core.files import write_atomic
from dizuo.demo.hotline import story as hotline
from dizuo.demo.hotline.story import Confidence, HotlineScores
from dizuo.demo.measure import StoryScores
from dizuo.demo.meter import story as meter
from dizuo.demo.promises import broken_at

FORMAT = 1


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Everything a run of the demo leaves behind; `stacks`, `sites` and traces as the hub says.

    `vision` and `trace` are the meters', `text` and `text_trace` the hotline's: None, or empty,
    where that story was not told, and so is `text_confidence`, which tells how sure the hotline's
    answers were. `small` says that the hotline was told with few tickets, whose
    figures promise nothing. `update_bytes` is what each drifted site fetched for the loop's update
    and nothing else, by its name. `untouched_sites_identical` says whether all whom an update was
    not for answer as before: two sites, and the other city.
    """

    seconds: float
    seed: int
    small: bool
    stacks: Sequence[Mapping[str, Any]]
    sites: Sequence[Mapping[str, Any]]
    vision: StoryScores | None
    text: HotlineScores | None
    text_confidence: Confidence | None
    trace: Sequence[Mapping[str, Any]]
    text_trace: Sequence[Mapping[str, Any]]
    update_bytes: Mapping[str, int]
    untouched_sites_identical: bool
    cached: Mapping[str, bool]

    def broken_promises(self) -> list[str]:
        """What the demo promises and this run did not keep, one sentence each."""
        broken = []
        if self.vision is not None:
            broken += meter.PROMISE.broken_by(self.vision)
            site = self._site(meter.DRIFTED_SITE)
            broken += broken_at(site, self.trace, self.update_bytes[meter.DRIFTED_SITE])
        if self.text is not None:
            broken += [] if self.small else hotline.PROMISE.broken_by(self.text)
            broken += [] if self.small else self._unmoved()
            site = self._site(hotline.SITE)
            broken += broken_at(site, self.text_trace, self.update_bytes[hotline.SITE])
        if not self.untouched_sites_identical:
            broken.append("Whom the update was not for answers differently.")
        return broken

    def _unmoved(self) -> list[str]:
        """That the hotline did not notice what was new, if so."""
        sure = self.text_confidence
        noticed = sure is not None and sure.after_drift < sure.before_drift
        return [] if noticed else ["The hotline is as sure of what is new as of what it knows."]

    def _site(self, name: str) -> Mapping[str, Any]:
        return next(site for site in self.sites if site["name"] == name)

    def write(self, path: Path) -> None:
        """Write the report as indented JSON, atomically."""
        body = {"format": FORMAT, **asdict(self)}
        write_atomic(path, json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n")
