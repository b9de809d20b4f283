"""What changed between two versions, and what a suite shares with training data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dizuo.core.errors import Conflict
from dizuo.datasets.model import (
    LABEL_COLUMN,
    DatasetPin,
    Diff,
    Overlap,
    OverlapPair,
    RowExample,
    StoredRow,
)
from dizuo.datasets.nearness import Vectors, blocks, fingerprints, nearest
from dizuo.datasets.table import iterate_rows
from dizuo.families.base import Spec

NUM_EXAMPLES = 20


def diff(
    before: DatasetPin, after: DatasetPin, *, wanted: Callable[[], bool] = lambda: True
) -> Diff:
    """What is different in `after`.

    Args:
        before: the one version.
        after: the other.
        wanted: asked at each row, whether to go on.

    Raises:
        DatasetDamaged: one of them cannot be read.
        Conflict: it was no longer wanted.
    """
    old, new = _examples(before, wanted), _examples(after, wanted)
    unchanged = sum(1 for key, row in new.items() if _same(old.get(key), row))
    added = [row for key, row in new.items() if key not in old]
    removed = [row for key, row in old.items() if key not in new]
    relabelled = [
        RowExample(row.row_digest, row.source, row.label, old[key].label)
        for key, row in new.items()
        if key in old and not _same(old[key], row)
    ]
    return Diff(
        before=before.ref,
        after=after.ref,
        num_added=len(added),
        num_removed=len(removed),
        num_relabelled=len(relabelled),
        num_unchanged=unchanged,
        added=_first(added),
        removed=_first(removed),
        relabelled=_first(relabelled),
    )


def _same(old: RowExample | None, new: RowExample) -> bool:
    return old is not None and old.row_digest == new.row_digest


def _examples(pin: DatasetPin, wanted: Callable[[], bool]) -> dict[str, RowExample]:
    found: dict[str, RowExample] = {}
    for row in iterate_rows(pin):
        if not wanted():
            raise Conflict("The comparison was stopped.", next_step="Start it again.")
        label = row.columns.get(LABEL_COLUMN)
        found[row.input_digest] = RowExample(row.row_digest, row.source, label)
    return found


def _first(rows: Iterable[RowExample]) -> tuple[RowExample, ...]:
    return tuple(sorted(rows, key=lambda row: row.row_digest)[:NUM_EXAMPLES])


@dataclass(frozen=True, slots=True)
class _Trace:
    """What is remembered of a row once it has gone by: which it is, not what it holds."""

    input_digest: str
    row_digest: str
    source: str

    @classmethod
    def of(cls, row: StoredRow) -> _Trace:
        """The trace of a row."""
        return cls(row.input_digest, row.row_digest, row.source)


def overlaps(train: DatasetPin, suite: DatasetPin, spec: Spec) -> Overlap:
    """Rows of the suite whose input, or a near duplicate of it, is in the training data.

    Of the suite the fingerprints are held, of the training data a block of rows at a time.

    Raises:
        DatasetDamaged: one of them cannot be read.
    """
    tested: list[_Trace] = []
    vectors = fingerprints(spec, _tracing(iterate_rows(suite), tested))
    wanted = {trace.input_digest for trace in tested}
    equal: dict[str, _Trace] = {}
    closest = _Closest(vectors, spec.NEAR_DUPLICATE_SIMILARITY)
    for block in blocks(iterate_rows(train)):
        traces = [_Trace.of(row) for row in block]
        equal |= {trace.input_digest: trace for trace in traces if trace.input_digest in wanted}
        closest.look(fingerprints(spec, block), traces)
    exact = [
        _pair(row, equal[row.input_digest], 1.0) for row in tested if row.input_digest in equal
    ]
    near = [
        _pair(tested[index], other, similarity)
        for index, (other, similarity) in closest.found.items()
        if tested[index].input_digest not in equal
    ]
    near.sort(key=lambda pair: (-pair.similarity, pair.suite_row))
    return Overlap(
        train=train.ref,
        suite=suite.ref,
        num_exact=len(exact),
        num_near=len(near),
        pairs=tuple((exact + near)[:NUM_EXAMPLES]),
    )


def _tracing(rows: Iterable[StoredRow], traces: list[_Trace]) -> Iterator[StoredRow]:
    for row in rows:
        traces.append(_Trace.of(row))
        yield row


class _Closest:
    """For each row of a suite the closest row of the training data so far, if it is near.

    `found` maps the row's index to that row's trace and their similarity.
    """

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        self._vectors = vectors
        self._threshold = threshold
        self._best = np.full(len(vectors), -1, np.float32)
        self.found: dict[int, tuple[_Trace, float]] = {}

    def look(self, others: Vectors, traces: Sequence[_Trace]) -> None:
        """Compare with a block of the training data."""
        similarity, index = nearest(self._vectors, others)
        closer = (similarity > self._best) & (similarity >= self._threshold)
        for row in map(int, np.flatnonzero(closer)):
            self._best[row] = similarity[row]
            self.found[row] = (traces[index[row]], float(similarity[row]))


def _pair(suite: _Trace, train: _Trace, similarity: float) -> OverlapPair:
    return OverlapPair(
        suite_row=suite.row_digest,
        suite_source=suite.source,
        train_row=train.row_digest,
        train_source=train.source,
        similarity=round(similarity, 6),
    )
