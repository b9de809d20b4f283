"""A stranger's egress policy, found by entry point: what leaves has lost its photo."""

from __future__ import annotations

from dizuo.edge.egress import Decision
from dizuo.edge.wire import Sample, sample_digest


class WithoutPhotos:
    """The policy `without-photos`."""

    name = "without-photos"

    def decide(self, sample: Sample) -> Decision:
        """Allowed, without the photo."""
        row = {column: value for column, value in sample.row.items() if column != "photo"}
        digest = sample_digest(row, sample.stack_digest)
        return Decision(sample.model_copy(update={"row": row, "digest": digest}), "No photos.")
