"""Rows on their way in: checked one by one, kept in a file, refused ones written out with why.

Nothing here touches a table. Memory holds digests and, if wanted, fingerprints; the rows
themselves go through an Arrow file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from dizuo.core.progress import Progress, Reporter
from dizuo.datasets.columns import check_kinds, from_batch, kinds_of, schema_for, to_batch
from dizuo.datasets.content import input_digest, normalise, row_digest
from dizuo.datasets.errors import DatasetConflict, RowRefused
from dizuo.datasets.model import REJECTED_COLUMN, Candidate, Reject, StoredRow
from dizuo.datasets.nearness import Vectors
from dizuo.families.base import Spec

NUM_REJECTS_SHOWN = 20
_BATCH_ROWS = 256
_BATCH_BYTES = 32 * 1024 * 1024
_REPORT_EVERY = 500


class RejectLog:
    """Writes `rejects.jsonl`, one JSON object a line, and remembers the first few."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.first: list[Reject] = []
        self._stream = path.open("ab")

    def add(self, reject: Reject) -> None:
        """Write one."""
        self.count += 1
        if len(self.first) < NUM_REJECTS_SHOWN:
            self.first.append(reject)
        line = json.dumps(reject.as_dict(), ensure_ascii=False)
        self._stream.write(line.encode(errors="backslashreplace") + b"\n")

    def close(self) -> None:
        """Everything is in the file after this."""
        self._stream.close()


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows that passed every check of their own.

    `fingerprints` is None unless they were asked for.
    """

    path: Path
    schema: pa.Schema
    places: Sequence[str]
    row_digests: Sequence[str]
    input_digests: Sequence[str]
    fingerprints: Vectors | None
    num_duplicates: int

    def batches(self, wanted: Callable[[int], bool], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows whose index is `wanted`, in the form of `schema`.

        Raises:
            DatasetConflict: a row does not fit the schema.
        """
        start = 0
        with pa.OSFile(str(self.path), "rb") as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                mask = [wanted(start + offset) for offset in range(batch.num_rows)]
                start += batch.num_rows
                if any(mask):
                    yield _in_form(batch.filter(pa.array(mask)), schema)


def _in_form(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema):
        return batch
    rows = list(from_batch(batch))
    kinds = kinds_of(schema)
    for row in rows:
        try:
            check_kinds(row.columns, kinds)
        except RowRefused as error:
            raise DatasetConflict(
                f"The held-out rows do not fit the dataset they go to: {error.message}.",
                next_step="Import under another name, or replace that dataset first.",
            ) from error
    return to_batch(rows, schema)


class Stage:
    """Takes candidates one by one; `finish` hands out what was taken.

    Args:
        folder: an empty folder.
        spec: the family's checks.
        schema: that of the table the rows go to, or None to derive one from the first rows.
        with_fingerprints: whether near duplicates will matter.
        source_name: what each row's `source` starts with.
    """

    def __init__(
        self,
        folder: Path,
        spec: Spec,
        schema: pa.Schema | None,
        *,
        with_fingerprints: bool,
        source_name: str,
    ) -> None:
        self.rejects = RejectLog(folder / "rejects.jsonl")
        self._path = folder / "rows.arrow"
        self._spec = spec
        self._schema = schema
        self._source_name = source_name
        self._waiting: list[StoredRow] = []
        self._waiting_bytes = 0
        self._writer: Any = None
        self._places: list[str] = []
        self._row_digests: list[str] = []
        self._first_place: dict[str, tuple[str, str]] = {}
        self._fingerprints: list[Vectors] | None = [] if with_fingerprints else None
        self._num_duplicates = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.rejects.close()
        if self._writer is not None:
            self._writer.close()

    def take_all(self, records: Iterable[Candidate | Reject], report: Reporter) -> None:
        """Take every record; tells of its progress now and then."""
        for number, record in enumerate(records, start=1):
            if isinstance(record, Reject):
                self.rejects.add(record)
            else:
                self._take(record)
            if number % _REPORT_EVERY == 0:
                report(Progress("read", done=number, unit="row"))

    def _take(self, candidate: Candidate) -> None:
        try:
            row = self._check(candidate)
        except RowRefused as error:
            self.rejects.add(Reject(candidate.place, error.message))
            return
        if row is None:
            self._num_duplicates += 1
            return
        self._places.append(candidate.place)
        self._row_digests.append(row.row_digest)
        self._first_place[row.input_digest] = (candidate.place, row.row_digest)
        self._waiting.append(row)
        self._waiting_bytes += _size(row)
        if len(self._waiting) >= _BATCH_ROWS or self._waiting_bytes >= _BATCH_BYTES:
            self._flush()

    def _check(self, candidate: Candidate) -> StoredRow | None:
        """The row, or None if an equal one came before."""
        columns = normalise(candidate.columns)
        if self._schema is not None:
            check_kinds(columns, kinds_of(self._schema))
        elif self._waiting:
            check_kinds(columns, kinds_of(self._schema_of_waiting()))
        reason = self._spec.check_row(columns)
        if reason:
            raise RowRefused(reason)
        source, digest = input_digest(columns), row_digest(columns)
        if source in self._first_place:
            place, first_digest = self._first_place[source]
            if first_digest == digest:
                return None
            another = "label or rejected answer" if REJECTED_COLUMN in columns else "label"
            raise RowRefused(f"the same input came at {place} with another {another}")
        name = f"{self._source_name}#{candidate.place}" if self._source_name else candidate.place
        return StoredRow(digest, source, name, columns)

    def _schema_of_waiting(self) -> pa.Schema:
        return schema_for([row.columns for row in self._waiting], self._spec.COLUMNS)

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._schema is None:
            self._schema = self._schema_of_waiting()
        if self._writer is None:
            self._writer = pa.ipc.new_stream(str(self._path), self._schema)
        self._writer.write_batch(to_batch(self._waiting, self._schema))
        if self._fingerprints is not None:
            self._fingerprints.append(
                self._spec.fingerprints([row.columns for row in self._waiting])
            )
        self._waiting, self._waiting_bytes = [], 0

    def finish(self) -> Staged | None:
        """What was taken, or None if that is nothing. Rejects may still be added."""
        self._flush()
        if self._writer is None:
            return None
        self._writer.close()
        self._writer = None
        together = None
        if self._fingerprints is not None:
            together = np.concatenate(self._fingerprints)
        return Staged(
            path=self._path,
            schema=self._schema,
            places=self._places,
            row_digests=self._row_digests,
            input_digests=list(self._first_place),
            fingerprints=together,
            num_duplicates=self._num_duplicates,
        )


def _size(row: StoredRow) -> int:
    return sum(len(v) for v in row.columns.values() if isinstance(v, bytes | str))
