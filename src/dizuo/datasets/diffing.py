"""What changed between two versions, and what a suite shares with training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from dizuo.datasets.model import (
    LABEL_COLUMN,
    DatasetPin,
    Diff,
    Overlap,
    OverlapPair,
    RowExample,
    StoredRow,
)
from dizuo.datasets.nearness import fingerprints, nearest
from dizuo.datasets.table import iterate_rows
from dizuo.families.base import Spec

NUM_EXAMPLES = 20


def diff(before: DatasetPin, after: DatasetPin) -> Diff:
    """What is different in `after`.

    Raises:
        DatasetDamaged: one of them cannot be read.
    """
    old, new = _examples(before), _examples(after)
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


def _examples(pin: DatasetPin) -> dict[str, RowExample]:
    return {
        row.input_digest: RowExample(row.row_digest, row.source, row.columns.get(LABEL_COLUMN))
        for row in iterate_rows(pin)
    }


def _first(rows: Iterable[RowExample]) -> tuple[RowExample, ...]:
    return tuple(sorted(rows, key=lambda row: row.row_digest)[:NUM_EXAMPLES])


def overlaps(train: DatasetPin, suite: DatasetPin, spec: Spec) -> Overlap:
    """Rows of the suite whose input, or a near duplicate of it, is in the training data.

    Raises:
        DatasetDamaged: one of them cannot be read.
    """
    train_rows, suite_rows = list(iterate_rows(train)), list(iterate_rows(suite))
    known = {row.input_digest: row for row in train_rows}
    exact = [_pair(row, known[row.input_digest], 1.0) for row in suite_rows if _in(row, known)]
    rest = [row for row in suite_rows if not _in(row, known)]
    near = _near_pairs(spec, train_rows, rest)
    return Overlap(
        train=train.ref,
        suite=suite.ref,
        num_exact=len(exact),
        num_near=len(near),
        pairs=tuple((exact + near)[:NUM_EXAMPLES]),
    )


def _in(row: StoredRow, known: Mapping[str, StoredRow]) -> bool:
    return row.input_digest in known


def _near_pairs(spec: Spec, train: list[StoredRow], suite: list[StoredRow]) -> list[OverlapPair]:
    similarity, index = nearest(fingerprints(spec, suite), fingerprints(spec, train))
    found = np.flatnonzero(similarity >= spec.NEAR_DUPLICATE_SIMILARITY)
    pairs = [_pair(suite[i], train[index[i]], float(similarity[i])) for i in found]
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.suite_row))


def _pair(suite: StoredRow, train: StoredRow, similarity: float) -> OverlapPair:
    return OverlapPair(
        suite_row=suite.row_digest,
        suite_source=suite.source,
        train_row=train.row_digest,
        train_source=train.source,
        similarity=round(similarity, 6),
    )
