"""Garbage collection of a layout: blobs that no tag leads to, and what killed processes left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dizuo.artifacts.errors import BlobMissing
from dizuo.artifacts.graph import reachable
from dizuo.artifacts.layout import Layout
from dizuo.core.clock import Clock, now_ms

DEFAULT_GRACE_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed."""

    num_files: int
    num_bytes: int


def collect_garbage(
    layout: Layout,
    *,
    grace_seconds: float = DEFAULT_GRACE_SECONDS,
    keep: Iterable[str] = (),
    whole: bool = False,
    clock: Clock = now_ms,
) -> Collected:
    """Remove blobs that neither a tag nor `keep` leads to and that nobody touched for the grace
    period, and temporary, partial and damaged files as old.

    Args:
        grace_seconds: longer than any build or fetch takes from its first blob to its tag.
        keep: digests of indexes that are wanted without a tag.
        whole: everything that is kept has all its documents here, as at a hub; a site holds those
            of its own target alone.

    Raises:
        StackRefused, BlobCorrupt: a document that is kept cannot be read; nothing was removed.
        BlobMissing: one is not here, and `whole` was asked for; nothing was removed.
    """
    deadline_ns = (clock() - int(grace_seconds * 1000)) * 1_000_000
    wanted = tuple(keep)
    with layout.locked():
        read = layout.read if whole else _lenient(layout)
        kept = reachable([*layout.tags_table().digests, *wanted], read)
        names = {digest.removeprefix("sha256:") for digest in (*kept, *wanted)}
        doomed = [path for path in _candidates(layout) if path.name not in names]
        return _remove(doomed, deadline_ns)


def _lenient(layout: Layout) -> Callable[[str], bytes | None]:
    def read(digest: str) -> bytes | None:
        try:
            return layout.read(digest)
        except BlobMissing:
            return None

    return read


def _candidates(layout: Layout) -> list[Path]:
    places = (layout.blob_directory, layout.partial_directory, layout.corrupt_directory)
    return [path for place in places if place.is_dir() for path in place.iterdir()]


def _remove(paths: list[Path], deadline_ns: int) -> Collected:
    num_files = num_bytes = 0
    for path in paths:
        with suppress(FileNotFoundError):  # a temporary file that has just got its name
            found = path.stat()
            if found.st_mtime_ns < deadline_ns:
                path.unlink()
                num_files += 1
                num_bytes += found.st_size
    return Collected(num_files, num_bytes)
