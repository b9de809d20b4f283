"""Reading a dataset version: one Lance table per dataset, one Lance tag per version.

Lance's own version numbers move with every write and its cleanup removes what is untagged, so a
version of ours is a tag. What is read is checked against the pinned digest, always.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import lance
import pyarrow as pa
import pyarrow.compute as pc

from dizuo.core.digests import require_digest
from dizuo.datasets.columns import from_batch, kinds_of
from dizuo.datasets.content import Kind, content_digest, row_digest, whole_if_whole
from dizuo.datasets.errors import DatasetDamaged, RowRefused
from dizuo.datasets.model import LABEL_COLUMN, DatasetPin, StoredRow
from dizuo.families.base import Row

BATCH_ROWS = 64
_READAHEAD_BATCHES = 2  # bounds memory: rows may hold some megabytes each
# Lance reports most faults as OSError or ValueError; a decoder that meets garbage may also raise
# what its Rust code does, which arrives as RuntimeError.
_LANCE_FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, RowRefused)


@contextmanager
def faults_as_damage(pin: DatasetPin) -> Iterator[None]:
    """Turn whatever Lance says about a table that cannot be read into one sentence.

    Raises:
        DatasetDamaged: the block raised.
    """
    try:
        yield
    except _LANCE_FAULTS as error:
        raise DatasetDamaged(
            f"The data of {pin.ref} cannot be read.",
            next_step="Restore the datasets folder from a backup, or import the data again.",
        ) from error


def open_version(pin: DatasetPin) -> Any:
    """The Lance dataset at the pinned version.

    Raises:
        DatasetDamaged: it is not there.
    """
    with faults_as_damage(pin):
        return lance.dataset(pin.uri, version=pin.tag)


def iterate_rows(pin: DatasetPin) -> Iterator[StoredRow]:
    """Every row of a version in the order of the table, each checked against its own digest; at
    the end, the whole against the pinned digest.

    Raises:
        DatasetDamaged: a row, or the set of rows, is not what was pinned. Rows yielded before are
            then not to be trusted as a whole.
    """
    dataset = open_version(pin)
    digests: list[str] = []
    with faults_as_damage(pin):
        batches = dataset.to_batches(
            batch_size=BATCH_ROWS, batch_readahead=_READAHEAD_BATCHES, scan_in_order=True
        )
        for batch in batches:
            for row in _verified(pin, batch):
                digests.append(row.row_digest)
                yield row
    if len(digests) != pin.num_rows or content_digest(digests) != pin.digest:
        raise DatasetDamaged(
            f"The rows of {pin.ref} are not those that were pinned.",
            next_step="Restore the datasets folder from a backup, or import the data again.",
        )


def read_rows(pin: DatasetPin) -> list[Row]:
    """Every row of a version, sorted by row digest: the order depends on nothing but the content,
    so that training on equal data is equal.

    Raises:
        DatasetDamaged: what lies in the table is not what was pinned.
    """
    rows = sorted(iterate_rows(pin), key=lambda row: row.row_digest)
    return [row.columns for row in rows]


def read_page(
    pin: DatasetPin, offset: int, limit: int, *, wanted: str | None = None
) -> list[StoredRow]:
    """`limit` rows from `offset` in the order of the table, each checked against its own digest.

    Args:
        pin: the version.
        offset: how many to pass over.
        limit: the most that are read.
        wanted: a condition in Lance's SQL; only rows that meet it count.

    Raises:
        DatasetDamaged: the table cannot be read, or a row is not what it was.
    """
    dataset = open_version(pin)
    rows: list[StoredRow] = []
    with faults_as_damage(pin):
        batches = dataset.to_batches(
            offset=offset, limit=limit, batch_size=BATCH_ROWS, filter=wanted, scan_in_order=True
        )
        for batch in batches:
            rows.extend(_verified(pin, batch))
    return rows


def read_chosen(pin: DatasetPin, row_digests: Collection[str]) -> dict[str, StoredRow]:
    """The rows with these digests, by digest; those that the version does not hold are left out.

    Raises:
        DatasetDamaged: the table cannot be read, or a row is not what it was.
        InvalidInput: one of `row_digests` is not a digest.
    """
    quoted = ", ".join(f"'{require_digest(one)}'" for one in row_digests)
    if not quoted:
        return {}
    dataset = open_version(pin)
    rows: list[StoredRow] = []
    with faults_as_damage(pin):
        for batch in dataset.to_batches(filter=f"row_digest IN ({quoted})", batch_size=BATCH_ROWS):
            rows.extend(_verified(pin, batch))
    return {row.row_digest: row for row in rows}


def read_digests(pin: DatasetPin) -> dict[str, str]:
    """Input digest to row digest of every row, without reading the rows themselves.

    Raises:
        DatasetDamaged: the digests are not those of the pinned version.
    """
    dataset = open_version(pin)
    with faults_as_damage(pin):
        table = dataset.to_table(columns=["input_digest", "row_digest"])
        rows = table["row_digest"].to_pylist()
        known = dict(zip(table["input_digest"].to_pylist(), rows, strict=True))
    if content_digest(rows) != pin.digest:
        raise DatasetDamaged(
            f"The rows of {pin.ref} are not those that were pinned.",
            next_step="Restore the datasets folder from a backup, or import the data again.",
        )
    return known


def read_classes(pin: DatasetPin, limit: int) -> list[str]:
    """The different labels of a version that are text or whole numbers, sorted, as text; none where
    there are more than `limit`, so that they are no classes.

    Raises:
        DatasetDamaged: the table cannot be read.
    """
    dataset = open_version(pin)
    with faults_as_damage(pin):
        kind = kinds_of(dataset.schema).get(LABEL_COLUMN)
        if kind not in (Kind.TEXT, Kind.NUMBER):
            return []
        found = pc.unique(dataset.to_table(columns=[LABEL_COLUMN])[LABEL_COLUMN])
    if len(found) > limit:
        return []
    known = sorted(one for one in found.to_pylist() if one is not None)
    return [str(whole_if_whole(one) if kind is Kind.NUMBER else one) for one in known]


def read_sources(pin: DatasetPin) -> list[str]:
    """Where each row came from, in the order of the table: `sample:<digest>` for a returned one.

    Raises:
        DatasetDamaged: the table cannot be read.
    """
    dataset = open_version(pin)
    with faults_as_damage(pin):
        sources: list[str] = dataset.to_table(columns=["source"])["source"].to_pylist()
    return sources


def _verified(pin: DatasetPin, batch: pa.RecordBatch) -> Iterator[StoredRow]:
    for row in from_batch(batch):
        if row_digest(row.columns) != row.row_digest:
            raise DatasetDamaged(
                f"A row of {pin.ref} was changed after it was written.",
                next_step="Restore the datasets folder from a backup, or import the data again.",
            )
        yield row
