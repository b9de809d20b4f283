"""A blob on its way in: a file under `.partial`, named by digest, that survives a crash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dizuo.artifacts.errors import BlobBusy
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.locking import try_lock
from dizuo.artifacts.model import Blob

_CHUNK_BYTES = 1 << 20


class PartialBlob:
    """The bytes of a blob that are here so far. Use `open_partial`.

    Nothing in it is trusted: what an earlier attempt left is hashed again when it is opened, and
    only bytes that match the digest as a whole get the blob's name.
    """

    def __init__(self, layout: Layout, blob: Blob, path: Path, descriptor: int) -> None:
        self.blob = blob
        self.num_bytes = 0
        self._layout = layout
        self._path = path
        self._descriptor = descriptor
        self._hasher = hashlib.sha256()
        self._take_up()

    def _take_up(self) -> None:
        if os.fstat(self._descriptor).st_size > self.blob.size_bytes:
            self.restart()
            return
        while piece := os.read(self._descriptor, _CHUNK_BYTES):
            self._hasher.update(piece)
            self.num_bytes += len(piece)

    def write(self, data: bytes) -> None:
        """Append bytes. The caller sees to it that they are not too many.

        Raises:
            OSError: the disk is full; what was written before stays.
        """
        rest = memoryview(data)
        while rest:
            num_written = os.write(self._descriptor, rest)
            self._hasher.update(rest[:num_written])
            self.num_bytes += num_written
            rest = rest[num_written:]

    def restart(self) -> None:
        """Forget every byte."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hasher = hashlib.sha256()
        self.num_bytes = 0

    def is_right(self) -> bool:
        """Whether the bytes are all there and are those of the digest."""
        digest = f"sha256:{self._hasher.hexdigest()}"
        return self.num_bytes == self.blob.size_bytes and digest == self.blob.digest

    def discard(self) -> None:
        """Remove the file; the next attempt begins from nothing."""
        self._path.unlink()

    def adopt(self) -> None:
        """Give the bytes the blob's name. Only after `is_right`."""
        os.fsync(self._descriptor)
        self._layout.adopt(self._path, self.blob)


@contextmanager
def open_partial(layout: Layout, blob: Blob) -> Iterator[PartialBlob]:
    """The partial file of `blob`, held for this process alone until the block ends.

    Raises:
        BlobBusy: another process holds it.
    """
    layout.partial_directory.mkdir(exist_ok=True)
    path = layout.partial_directory / blob.digest.removeprefix("sha256:")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # The holder may have finished, and the file have got its name, between open and lock: bytes
        # written then would go into a finished blob.
        if not try_lock(descriptor) or not still_names(path, descriptor):
            raise BlobBusy(
                f"Another process is fetching {blob.digest}.",
                next_step="Try again when it is done.",
            )
        yield PartialBlob(layout, blob, path, descriptor)
    finally:
        os.close(descriptor)


def still_names(path: Path, descriptor: int) -> bool:
    """Whether `path` is still the name of the open file."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
