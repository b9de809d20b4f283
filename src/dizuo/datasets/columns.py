"""Rows as Arrow batches and back.

A table has four columns of ours (`row_digest`, `input_digest`, `source`, `extra`) and one for each
column that the family names and the first rows hold. All other columns travel together in `extra`
as one JSON text, so a later import may bring columns that an earlier one did not have. So do
rejected answers: what a model wrote instead of a JSON object may be of any kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dizuo.core.digests import canonical_json
from dizuo.datasets.content import Kind, from_wire, kind_of, to_wire, whole_if_whole
from dizuo.datasets.errors import RowRefused
from dizuo.datasets.model import REJECTED_COLUMN, StoredRow

FORMAT = b"1"
_FORMAT_KEY = b"dizuo.format"
_KIND_KEY = b"dizuo.kind"
_OURS = ("row_digest", "input_digest", "source", "extra")
_ARROW_TYPES = {
    Kind.BYTES: pa.large_binary(),
    Kind.TEXT: pa.large_string(),
    Kind.NUMBER: pa.float64(),
    Kind.JSON: pa.large_string(),
}


def schema_for(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pa.Schema:
    """The schema of a table whose first rows, in normal form, are these.

    A column's kind is that of its first value; columns without one stay in `extra`.
    """
    kinds: dict[str, Kind] = {}
    for name in columns:
        value = next((row[name] for row in rows if name in row), None)
        if value is not None and name not in (*_OURS, REJECTED_COLUMN):
            kinds[name] = kind_of(value)
    fields = [pa.field(name, pa.large_string()) for name in _OURS]
    for name, kind in kinds.items():
        fields.append(pa.field(name, _ARROW_TYPES[kind], metadata={_KIND_KEY: kind.encode()}))
    return pa.schema(fields, metadata={_FORMAT_KEY: FORMAT})


def kinds_of(schema: pa.Schema) -> dict[str, Kind]:
    """The kind of each column that is not ours."""
    return {
        field.name: Kind(field.metadata[_KIND_KEY].decode())
        for field in schema
        if field.name not in _OURS
    }


def check_kinds(columns: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Refuse a normal row whose values are not of the kinds of the table.

    Raises:
        RowRefused: names the first column that differs.
    """
    for name, kind in kinds.items():
        if name in columns and kind_of(columns[name]) is not kind:
            found = kind_of(columns[name])
            raise RowRefused(f"the field {name} holds {found} where the dataset holds {kind}")


def to_batch(rows: Sequence[StoredRow], schema: pa.Schema) -> pa.RecordBatch:
    """Rows that passed `check_kinds` as one batch."""
    kinds = kinds_of(schema)
    data: dict[str, list[Any]] = {
        "row_digest": [row.row_digest for row in rows],
        "input_digest": [row.input_digest for row in rows],
        "source": [row.source for row in rows],
        "extra": [_pack_extra(row.columns, kinds) for row in rows],
    }
    for name, kind in kinds.items():
        data[name] = [_to_arrow(row.columns.get(name), kind) for row in rows]
    arrays = [pa.array(data[field.name], field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def _pack_extra(columns: Mapping[str, Any], kinds: Mapping[str, Kind]) -> str | None:
    """Bytes and JSON apart, so that a JSON object that looks like base64 stays what it is."""
    extra = {name: value for name, value in columns.items() if name not in kinds}
    if not extra:
        return None
    blobs = {name: value for name, value in extra.items() if isinstance(value, bytes)}
    plain = {name: value for name, value in extra.items() if name not in blobs}
    return canonical_json({"bytes": to_wire(blobs), "json": plain}).decode()


def _unpack_extra(text: str) -> dict[str, Any]:
    packed = json.loads(text)
    return {**from_wire(packed["bytes"]), **packed["json"]}


def _to_arrow(value: Any, kind: Kind) -> Any:
    if value is None or kind is not Kind.JSON:
        return value
    return canonical_json(value).decode()


def _from_arrow(value: Any, kind: Kind) -> Any:
    if kind is Kind.JSON:
        return json.loads(value)
    return whole_if_whole(value) if kind is Kind.NUMBER else value


def from_batch(batch: pa.RecordBatch) -> Iterator[StoredRow]:
    """The rows of a batch, in normal form.

    Raises:
        ValueError, KeyError, TypeError: the batch was not made by `to_batch`.
    """
    kinds = kinds_of(batch.schema)
    for record in batch.to_pylist():
        columns = {
            name: _from_arrow(record[name], kind)
            for name, kind in kinds.items()
            if record[name] is not None
        }
        if record["extra"] is not None:
            columns |= _unpack_extra(record["extra"])
        yield StoredRow(record["row_digest"], record["input_digest"], record["source"], columns)
