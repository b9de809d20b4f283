"""Finding rows of a version without reading all of it: Lance looks, over its own columns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dizuo.core.digests import require_digest
from dizuo.datasets.columns import kinds_of
from dizuo.datasets.content import Kind
from dizuo.datasets.model import DatasetPin, StoredRow
from dizuo.datasets.table import faults_as_damage, open_version, read_page

_ALWAYS = ("source", "extra")
"""Columns of ours that hold text of people."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Some of the rows that were looked for, and how many there are."""

    rows: tuple[StoredRow, ...]
    total: int


def search_rows(pin: DatasetPin, text: str, offset: int, limit: int) -> Matches:
    """Rows that hold a text in one of their texts, JSON values or their source, capitals or not,
    in the order of the table; all rows where the text is empty.

    Raises:
        DatasetDamaged: the table cannot be read, or a row is not what it was.
    """
    if not text:
        return Matches(tuple(read_page(pin, offset, limit)), pin.num_rows)
    wanted = _holding(pin, text)
    dataset = open_version(pin)
    with faults_as_damage(pin):
        total: int = dataset.count_rows(filter=wanted)
    return Matches(tuple(read_page(pin, offset, limit, wanted=wanted)), total)


def find_row(pin: DatasetPin, row_digest: str) -> StoredRow | None:
    """The row of a version that has this digest.

    Raises:
        InvalidInput: it is no digest.
        DatasetDamaged: the table cannot be read, or the row is not what it was.
    """
    return find_rows(pin, [row_digest]).get(row_digest)


def find_rows(pin: DatasetPin, row_digests: Collection[str]) -> dict[str, StoredRow]:
    """The rows of a version that have these digests, by digest; others are left out.

    Raises:
        InvalidInput: one is no digest.
        DatasetDamaged: the table cannot be read, or a row is not what it was.
    """
    quoted = ", ".join(f"'{require_digest(one)}'" for one in row_digests)
    if not quoted:
        return {}
    found = read_page(pin, 0, len(row_digests), wanted=f"row_digest IN ({quoted})")
    return {row.row_digest: row for row in found}


def _holding(pin: DatasetPin, text: str) -> str:
    with faults_as_damage(pin):
        kinds = kinds_of(open_version(pin).schema)
    texts = [name for name, kind in kinds.items() if kind in (Kind.TEXT, Kind.JSON)]
    quoted = text.replace("'", "''")
    return " OR ".join(
        f"contains(lower(`{name}`), lower('{quoted}'))" for name in (*_ALWAYS, *texts)
    )
