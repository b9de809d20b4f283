"""The egress policy: what a site lets out, decided and enforced on the site.

A policy is asked about each sample before it is queued, and hands back what may leave, which need
not be what it was given: one that redacts returns a stripped copy. `none` and `raw` are built in
and registered under the entry-point group `dizuo.egress` as a stranger's would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import ClassVar, Protocol, cast

from dizuo.core.errors import InvalidInput
from dizuo.edge.wire import MAX_SAMPLE_BYTES, Sample

ENTRY_POINT_GROUP = "dizuo.egress"


class UnknownEgressPolicy(InvalidInput):
    """No installed package offers an egress policy of this name."""

    code = "unknown_egress_policy"


@dataclass(frozen=True, slots=True)
class Decision:
    """What may leave, or None, and why; the reason is written to the site's egress log."""

    leaving: Sample | None
    reason: str

    @property
    def allowed(self) -> bool:
        """Whether anything may leave."""
        return self.leaving is not None


class EgressPolicy(Protocol):
    """Decides about one sample at a time. Has no state and does no I/O."""

    @property
    def name(self) -> str:
        """How people and check-ins name it."""

    def decide(self, sample: Sample) -> Decision:
        """Whether this sample may leave, in which form, and why. A policy that cannot tell
        denies."""


@dataclass(frozen=True, slots=True)
class NothingLeaves:
    """The policy `none`."""

    name: ClassVar[str] = "none"

    def decide(self, sample: Sample) -> Decision:
        """Denied, always."""
        return Decision(None, f"The policy none keeps every {sample.family} sample here.")


@dataclass(frozen=True, slots=True)
class RawLeaves:
    """The policy `raw`: samples leave as they are, within the size the hub takes."""

    name: ClassVar[str] = "raw"

    def decide(self, sample: Sample) -> Decision:
        """Allowed unless the sample is larger than any hub accepts."""
        size_bytes = len(sample.model_dump_json().encode())
        if size_bytes > MAX_SAMPLE_BYTES:
            return Decision(
                None, f"The sample has {size_bytes} bytes; at most {MAX_SAMPLE_BYTES} may leave."
            )
        return Decision(sample, "The policy raw lets samples leave as they are.")


@cache
def policy(name: str) -> EgressPolicy:
    """The egress policy of this name.

    Raises:
        UnknownEgressPolicy: nothing offers it. A site with an unknown policy must not start:
            guessing what may leave would be wrong in one direction or the other.
    """
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in points:
        raise UnknownEgressPolicy(
            f"There is no egress policy {name!r}.",
            next_step=f"Installed policies: {', '.join(sorted(points)) or 'none at all'}.",
        )
    return cast(EgressPolicy, points[name].load()())


def decide(name: str, sample: Sample) -> Decision:
    """What the policy of this name says about a sample.

    Raises:
        UnknownEgressPolicy: nothing offers it.
    """
    return policy(name).decide(sample)
