"""JSONL: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dizuo.datasets.importing.tables import TOO_LONG, TableSource, bounded_lines
from dizuo.datasets.model import Candidate, Reject


def read_jsonl(source: TableSource) -> Iterator[Candidate | Reject]:
    """A row for each line that is not blank."""
    with source.path.open("rb") as stream:
        for number, line in bounded_lines(stream):
            where = f"line {number}"
            if line is None:
                yield Reject(source.place(where), TOO_LONG)
            elif line.strip():
                yield _row(source, where, line)


def _row(source: TableSource, where: str, line: bytes) -> Candidate | Reject:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Reject(source.place(where), "the line is not UTF-8 text")
    except (ValueError, RecursionError):
        return Reject(source.place(where), "the line is not JSON")
    if not isinstance(value, dict):
        return Reject(source.place(where), "the line is not a JSON object")
    return source.candidate(where, value)
