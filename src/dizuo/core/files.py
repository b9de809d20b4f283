"""Files that are either whole or not there.

The order is always the same: temporary name in the same folder, write, fsync, rename, fsync of the
folder. A reader never sees half a file, and a crash leaves the old one or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dizuo.core.digests import canonical_json
from dizuo.core.ids import new_id

_WRITTEN_AT_ONCE = 8


def fsync_directory(directory: Path) -> None:
    """Make renames and new names inside `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(directory: Path) -> None:
    """Create `directory` and the missing folders above it, each name durable."""
    if directory.is_dir():
        return
    make_directories(directory.parent)
    directory.mkdir(exist_ok=True)
    fsync_directory(directory.parent)


@contextmanager
def open_atomic(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Write `path` through a temporary name; it appears, whole and durable, when the block ends.

    If the block raises, nothing has changed. `mode` holds from the first byte, so a secret is never
    readable by others, not even for a moment.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    make_directories(path.parent)
    temporary = _temporary(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{new_id()}.tmp")


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """`data` as the whole content of `path`, atomically and durably."""
    with open_atomic(path, mode=mode) as stream:
        stream.write(data)


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """A JSON value in its canonical byte form as the whole content of `path`."""
    write_atomic(path, canonical_json(value) + b"\n", mode=mode)


def write_together(directory: Path, contents: Mapping[str, bytes], *, mode: int = 0o644) -> None:
    """Several files of one folder by name, each of them whole or not there.

    They are written side by side, since a disk makes a few small files durable in little more than
    the time of one, and the folder is synced once for all. If one cannot be written, none gets its
    name; after a crash some may have it.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    make_directories(directory)
    temporaries = {name: _temporary(directory / name) for name in contents}

    def write(name: str) -> None:
        descriptor = os.open(temporaries[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(contents[name])
            stream.flush()
            os.fsync(stream.fileno())

    try:
        with ThreadPoolExecutor(_WRITTEN_AT_ONCE, thread_name_prefix="write") as writers:
            list(writers.map(write, contents))
        for name, temporary in temporaries.items():
            os.replace(temporary, directory / name)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        raise
    fsync_directory(directory)
