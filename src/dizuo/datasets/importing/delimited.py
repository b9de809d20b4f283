"""CSV: a header and comma-separated rows.

A header `image:path` says that the column `image` names files beside the table, `image:base64` that
it holds base64. Every other value is text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from dizuo.datasets.content import MAX_FIELD_BYTES
from dizuo.datasets.errors import SourceRefused
from dizuo.datasets.importing.tables import TOO_LONG, TableSource, bounded_lines
from dizuo.datasets.model import Candidate, Reject

_MARKS = ("path", "base64")


def read_csv(source: TableSource) -> Iterator[Candidate | Reject]:
    """A row for each record after the header; places are the lines where records begin.

    Raises:
        SourceRefused: there is no header.
    """
    # The limit belongs to the whole process; it is only ever raised to the same value. Base64
    # needs four thirds, and normalisation measures the field itself.
    csv.field_size_limit(MAX_FIELD_BYTES * 2)
    with source.path.open("rb") as stream:
        lines = _Lines(source, bounded_lines(stream))
        reader = csv.reader(lines, strict=True)
        header = _header(source, reader)
        while True:
            begins = lines.number + 1
            try:
                values = next(reader, None)
            except csv.Error as error:
                yield from lines.take_rejects()
                yield Reject(source.place(f"line {begins}"), f"the record is not CSV: {error}")
                continue
            yield from lines.take_rejects()
            if values is None:
                return
            if values:
                yield _row(source, f"line {begins}", header, values)


class _Lines:
    """Decoded lines for the CSV reader. One that cannot be decoded becomes blank, which the reader
    passes over, and is remembered as a reject."""

    def __init__(self, source: TableSource, lines: Iterator[tuple[int, bytes | None]]) -> None:
        self.number = 0
        self._source = source
        self._lines = lines
        self._rejects: list[Reject] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if line is None:
            return self._refuse(TOO_LONG)
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8") + "\n"
        except UnicodeDecodeError:
            return self._refuse("the line is not UTF-8 text")

    def _refuse(self, reason: str) -> str:
        self._rejects.append(Reject(self._source.place(f"line {self.number}"), reason))
        return "\n"

    def take_rejects(self) -> list[Reject]:
        """The rejects since the last time."""
        taken, self._rejects = self._rejects, []
        return taken


def _header(source: TableSource, reader: Iterator[list[str]]) -> list[tuple[str, str]]:
    """(column, mark) of each field of the header."""
    try:
        names = next(reader, [])
    except csv.Error:
        names = []
    header = [_split_mark(name.strip()) for name in names]
    columns = [name for name, _ in header]
    if not columns or "" in columns or len(set(columns)) != len(columns):
        raise SourceRefused(
            f"The first line of {source.title} is not a header of distinct column names.",
            next_step="Begin the file with a line such as image:path,label.",
        )
    return header


def _split_mark(name: str) -> tuple[str, str]:
    column, _, mark = name.rpartition(":")
    return (column, mark) if column and mark in _MARKS else (name, "")


def _row(
    source: TableSource, where: str, header: list[tuple[str, str]], values: list[str]
) -> Candidate | Reject:
    if len(values) != len(header):
        reason = f"it has {len(values)} values where the header has {len(header)}"
        return Reject(source.place(where), reason)
    columns: dict[str, Any] = {}
    for (name, mark), value in zip(header, values, strict=True):
        if value:
            columns[name] = {mark: value} if mark else value
    return source.candidate(where, columns)
