"""One way in for every format: a path becomes a stream of candidates and rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from dizuo.datasets.errors import ImportStopped, SourceRefused
from dizuo.datasets.importing.bundle import open_bundle
from dizuo.datasets.importing.delimited import read_csv
from dizuo.datasets.importing.folders import read_folders
from dizuo.datasets.importing.jsonl import read_jsonl
from dizuo.datasets.importing.parquet import read_parquet
from dizuo.datasets.importing.tables import TableSource
from dizuo.datasets.model import LABEL_COLUMN, Candidate, Reject


class Format(StrEnum):
    """What a source is."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    IMAGES = "images"


SUFFIXES = {
    Format.JSONL: (".jsonl", ".ndjson"),
    Format.CSV: (".csv",),
    Format.PARQUET: (".parquet",),
}
"""How the files of a format that is a table end."""


def read_source(
    path: Path, form: Format, columns: Sequence[str], scratch: Path
) -> Iterator[Candidate | Reject]:
    """Every row of a source, in order.

    Args:
        path: a file, a folder, or a tar or zip file of a folder.
        form: its format. A folder, packed or not, may hold several tables of the format.
        columns: the family's columns; all but the label are inputs.
        scratch: a folder to unpack into; made when it is needed, removed by the caller.

    Raises:
        SourceRefused: while reading, when the source as a whole is not of this format, or can no
            longer be read.
        DatasetUnwritable: a packed folder cannot be unpacked into `scratch`.
    """
    try:
        yield from _records(path, form, columns, scratch)
    except OSError as error:
        raise SourceRefused(
            f"What was sent cannot be read to its end: {error.strerror or error}.",
            next_step="Send it again; nothing was changed.",
        ) from error


def _records(
    path: Path, form: Format, columns: Sequence[str], scratch: Path
) -> Iterator[Candidate | Reject]:
    inputs = tuple(name for name in columns if name != LABEL_COLUMN)
    bundle = open_bundle(path, scratch)
    yield from bundle.rejects
    if form is Format.IMAGES:
        yield from read_folders(bundle, inputs[0])
        return
    tables = bundle.tables(SUFFIXES[form])
    if not tables:
        raise SourceRefused(
            f"There is no {SUFFIXES[form][0]} file in the folder.",
            next_step="Put the table at any place in the folder, with that ending.",
        )
    for name, table in tables:
        source = TableSource(table, name if len(tables) > 1 else "", bundle.files, inputs)
        yield from _READERS[form](source)


def while_wanted(
    records: Iterable[Candidate | Reject], wanted: Callable[[], bool]
) -> Iterator[Candidate | Reject]:
    """The records as long as they are wanted, which is asked before each.

    Raises:
        ImportStopped: they no longer are.
    """
    for record in records:
        if not wanted():
            raise ImportStopped(
                "The import was stopped; nothing was changed.", next_step="Start it again."
            )
        yield record


_READERS = {
    Format.JSONL: read_jsonl,
    Format.CSV: read_csv,
    Format.PARQUET: read_parquet,
}
