"""The rows of a version that were refused, one JSON object a line, kept with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dizuo.core.files import fsync_directory
from dizuo.datasets.model import DatasetVersion, Reject
from dizuo.datasets.writing import TablePlace


def place_of(version: DatasetVersion) -> TablePlace:
    """Where a version's files lie."""
    return TablePlace(Path(version.uri).parent.parent, version.project_id, version.name)


def keep_rejects(written: Path, place: TablePlace, version: int) -> None:
    """Move a finished reject log to its place beside the table."""
    target = place.rejects(version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(written, target)
    fsync_directory(target.parent)


def read_rejects(version: DatasetVersion, *, offset: int = 0, limit: int = 100) -> list[Reject]:
    """Some of the rows that were refused when this version was added, in the order they came."""
    return list(
        islice(iterate_rejects(place_of(version).rejects(version.version)), offset, offset + limit)
    )


def iterate_rejects(path: Path) -> Iterator[Reject]:
    """The rows of a reject log, in the order they came; none where there is no log."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for line in stream:
            yield Reject(**json.loads(line))
