"""Image folders: `label/file.png`, each file a row whose label is the folder it lies in.

Knows no image: the bytes become the family's first input column, and the family says whether they
are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from dizuo.datasets.content import MAX_FIELD_BYTES
from dizuo.datasets.errors import SourceRefused
from dizuo.datasets.importing.bundle import Bundle
from dizuo.datasets.model import LABEL_COLUMN, Candidate, Reject


def read_folders(bundle: Bundle, column: str) -> Iterator[Candidate | Reject]:
    """A row for each file, in the order of their names.

    Args:
        bundle: the folder, packed or not.
        column: what the file's bytes are called.

    Raises:
        SourceRefused: it is a plain file.
    """
    if bundle.single is not None:
        raise SourceRefused(
            "What was sent is neither a folder nor a tar or zip file.",
            next_step="Give a folder, or a tar or zip file of one, that holds label/file.png.",
        )
    for name in sorted(bundle.files):
        label = PurePosixPath(name).parent.name
        path = bundle.files[name]
        size = path.stat().st_size
        if not label:
            yield Reject(name, "it lies in no folder that would name its label")
        elif size == 0:
            yield Reject(name, "the file is empty")
        elif size > MAX_FIELD_BYTES:
            reason = f"it holds {size:,} bytes; at most {MAX_FIELD_BYTES:,} are accepted"
            yield Reject(name, reason)
        else:
            yield Candidate(name, {column: path.read_bytes(), LABEL_COLUMN: label})
