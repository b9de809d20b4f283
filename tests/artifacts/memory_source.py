"""A blob source in memory that does what bad networks and bad registries do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dizuo.artifacts.errors import BlobCorrupt, FetchInterrupted, NotInRegistry
from dizuo.artifacts.fetch import BlobStream
from dizuo.artifacts.layout import Layout

CHUNK_BYTES = 16_384

Fault = Callable[[bytes], bytes]
"""What becomes of the bytes of one answer."""


@dataclass(slots=True)
class MemorySource:
    """Serves every blob of a layout.

    `faults` holds, by digest, what happens to the next answers, first first; when it is used up
    answers are right. `cuts` says after how many bytes an answer breaks off with an error, in the
    same way. `asked` is the log of requests: digest and offset.
    """

    layout: Layout
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    knows_ranges: bool = True
    claimed_offset: int | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)

    @contextmanager
    def open_manifest(self, digest: str) -> Iterator[BlobStream]:
        """As `BlobSource`."""
        yield self._answer(digest, 0)

    @contextmanager
    def open_blob(self, digest: str, offset: int) -> Iterator[BlobStream]:
        """As `BlobSource`."""
        yield self._answer(digest, offset if self.knows_ranges else 0, asked=offset)

    def _answer(self, digest: str, offset: int, *, asked: int = 0) -> BlobStream:
        self.asked.append((digest, asked))
        if not self.layout.has(digest):
            raise NotInRegistry(f"The registry does not hold {digest}.")
        data = self.layout.path(digest).read_bytes()
        if self.faults.get(digest):
            data = self.faults[digest].pop(0)(data)
        if offset > len(data):
            raise BlobCorrupt("The registry's blob is shorter than what is here of it.")
        cut = self.cuts[digest].pop(0) if self.cuts.get(digest) else None
        start = offset if self.claimed_offset is None else self.claimed_offset
        return BlobStream(start, _pieces(data[offset:], cut))


def _pieces(data: bytes, cut: int | None) -> Iterator[bytes]:
    whole = data if cut is None else data[:cut]
    for start in range(0, len(whole), CHUNK_BYTES):
        yield whole[start : start + CHUNK_BYTES]
    if cut is not None:
        raise FetchInterrupted("The connection broke.")


def shorter(data: bytes) -> bytes:
    """The end is missing, and nobody says so."""
    return data[: len(data) // 2]


def longer(data: bytes) -> bytes:
    """More than the size says."""
    return data + b"more"


def endless(data: bytes) -> bytes:
    """Far more."""
    return data * 50


def corrupt(data: bytes) -> bytes:
    """One bit in the middle is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def empty(_data: bytes) -> bytes:
    """Nothing at all."""
    return b""
