"""Parquet files, those of the Hugging Face hub among them: there an image is a struct of `bytes`
and `path`, of which the bytes are taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dizuo.datasets.errors import SourceRefused
from dizuo.datasets.importing.tables import TableSource
from dizuo.datasets.model import Candidate, Reject

_BATCH_ROWS = 32  # rows may hold some megabytes each
_FAULTS = (pa.ArrowException, OSError, ValueError)


def read_parquet(source: TableSource) -> Iterator[Candidate | Reject]:
    """A row for each row, numbered from 1.

    Raises:
        SourceRefused: the file is not Parquet, or breaks off.
    """
    number = 0
    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield source.candidate(f"row {number}", _columns(row))
    except _FAULTS as error:
        raise SourceRefused(
            f"What is in {source.title} is not a Parquet file that can be read to its end.",
            next_step="Check that it was written whole.",
        ) from error


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _image_bytes(value) for name, value in row.items()}


def _image_bytes(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"bytes", "path"} and value["bytes"] is not None:
        return value["bytes"]
    return value
