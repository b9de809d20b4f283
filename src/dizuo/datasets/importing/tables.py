"""What readers of tables share: where a row is, and values that stand for the bytes of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dizuo.datasets.content import MAX_FIELD_BYTES, from_wire
from dizuo.datasets.errors import RowRefused
from dizuo.datasets.importing.unpacking import inner_name
from dizuo.datasets.model import Candidate, Reject

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Room for a field of the largest size in base64, and some more."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """One table of a source.

    `name` is put before each place where there are several tables, else empty. `files` are the
    files beside it. `inputs` are the columns in which a plain text that names such a file stands
    for its bytes; anywhere, `{"path": …}` does.
    """

    path: Path
    name: str
    files: Mapping[str, Path]
    inputs: Sequence[str]

    @property
    def title(self) -> str:
        """The table for people; an upload's name on disk is a digest, which tells nothing."""
        return self.name or "the file"

    def place(self, where: str) -> str:
        """A place in this table, for people."""
        return f"{self.name} {where}".strip()

    def candidate(self, where: str, columns: Mapping[str, Any]) -> Candidate | Reject:
        """A row whose base64 and path values have become bytes, or why that cannot be."""
        place = self.place(where)
        try:
            values = {name: self._value(name, value) for name, value in columns.items()}
            return Candidate(place, from_wire(values))
        except RowRefused as error:
            return Reject(place, error.message)

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"path"}:
            return self._file(name, value["path"])
        if isinstance(value, str) and name in self.inputs and inner_name(value) in self.files:
            return self._file(name, value)
        return value

    def _file(self, name: str, reference: Any) -> bytes:
        inner = inner_name(reference) if isinstance(reference, str) else None
        path = self.files.get(inner) if inner is not None else None
        if path is None:
            shown = str(reference)[:200]
            raise RowRefused(f"the field {name} names {shown!r}, which is not beside the table")
        size = path.stat().st_size
        if size > MAX_FIELD_BYTES:
            raise RowRefused(
                f"the field {name} holds {size:,} bytes; at most {MAX_FIELD_BYTES:,} are accepted"
            )
        return path.read_bytes()


def bounded_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers from 1, without their ends; None for one that is too long, which is
    skipped without being held."""
    number = 0
    while piece := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(piece) <= MAX_LINE_BYTES or piece.endswith(b"\n"):
            yield number, piece.rstrip(b"\r\n")
            continue
        while piece and not piece.endswith(b"\n"):
            piece = stream.readline(MAX_LINE_BYTES)
        yield number, None


TOO_LONG = f"the line is longer than {MAX_LINE_BYTES:,} bytes"
