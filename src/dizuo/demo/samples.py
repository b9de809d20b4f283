"""What a site returns, and the stand-in reviewer who labels it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from dizuo.client.hub import HubClient
from dizuo.core.progress import Progress, Reporter
from dizuo.demo.waiting import Patience, wait_for

_MOST_SAMPLES = 1000


def wait_until_sent(
    site: httpx2.Client, report: Reporter, patience: Patience | None = None
) -> None:
    """Wait until a site has decided about every answer and sent what it lets out.

    Raises:
        TookTooLong: it sends no more of them.
    """
    most = 0

    def look() -> tuple[int, bool | None]:
        nonlocal most
        waiting = int(site.get("/status").json()["samples_waiting"])
        most = max(most, waiting)
        report(Progress("return samples", most - waiting, most, "sample"))
        return waiting, None if waiting else True

    wait_for("the samples to be returned", look, patience)


def count_returned(egress_log: Path) -> int:
    """How many samples a site has let out, by the log that it keeps of that."""
    return sum('"allowed"' in line for line in egress_log.read_text().splitlines())


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A stand-in for a person: knows the label of whatever `site` returned about one stack.

    `truth` gives it for a sample's row.
    """

    hub: HubClient
    site: str
    stack_digest: str
    truth: Callable[[Mapping[str, Any]], Any]

    def count(self) -> int:
        """How many samples there are, labelled or not."""
        return sum(len(self._samples(state)) for state in ("returned", "reviewed", "used"))

    def label(self, most: int, report: Reporter) -> tuple[int, int]:
        """Label the samples that the queue gives first, until `most` are labelled.

        Samples that an earlier run of the demo returned and labelled are the same samples: their
        labels count.

        Returns:
            How many are labelled, and how many of them were before.
        """
        num_before = len(self._samples("reviewed")) + len(self._samples("used"))
        chosen = self._samples("returned")[: max(0, most - num_before)]
        for number, sample in enumerate(chosen, start=1):
            report(Progress("label", number, len(chosen), "sample"))
            row = self.hub.sample(sample["digest"])["row"]
            self.hub.review(sample["digest"], {"label": self.truth(row)})
        return num_before + len(chosen), num_before

    def _samples(self, state: str) -> list[dict[str, Any]]:
        wanted: dict[str, str | int | None] = {
            "site": self.site,
            "state": state,
            "limit": _MOST_SAMPLES,
        }
        found = self.hub.review_queue(wanted)
        return [sample for sample in found if sample["stack_digest"] == self.stack_digest]


def labels_summary(num_labels: int, num_before: int) -> str:
    """What `Reviewer.label` came to, in words."""
    reused = f" ({num_before} of them given in an earlier run)" if num_before else ""
    return f"{num_labels} labels{reused}"
