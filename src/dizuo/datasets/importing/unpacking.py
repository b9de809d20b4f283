"""What packed folders share: which members are taken, under which names, and how much of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO

from dizuo.datasets.content import MAX_FIELD_BYTES
from dizuo.datasets.errors import DatasetUnwritable, SourceRefused
from dizuo.datasets.model import Reject

MAX_FILES = 2_000_000
MAX_UNPACKED_BYTES = 64 * 2**30
_COPY_BYTES = 1 << 20
TABLE_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
Unpacked = tuple[Mapping[str, Path], tuple[Reject, ...]]
"""The files of a packed folder by their names inside it, and what could not be taken."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a packed folder, but for folders. `fault` is why its kind cannot be taken."""

    name: str
    size: int
    fault: str = ""


class Unpacking:
    """Takes the members of one packed folder, one after the other.

    Args:
        kind: what it is, for people (`tar file`).
        scratch: where members are unpacked; made if needed.
    """

    def __init__(self, kind: str, scratch: Path) -> None:
        self.files: dict[str, Path] = {}
        self.rejects: list[Reject] = []
        self._kind = kind
        self._scratch = scratch
        self._num_seen = 0
        self._num_bytes = 0
        with _unpacking():
            scratch.mkdir(parents=True, exist_ok=True)

    def wants(self, member: Member) -> bool:
        """Whether to unpack a member; one that cannot be taken becomes a reject, a hidden one
        is passed over.

        Raises:
            SourceRefused: the whole is beyond the limits.
        """
        self.count(member.size)
        name = inner_name(member.name)
        if name is not None and _is_hidden(name):
            return False
        if reason := self._why_not(member, name):
            self.rejects.append(Reject(member.name[:200], reason))
        return not reason

    def take(self, member: Member, content: IO[bytes]) -> None:
        """Unpack a member that is wanted.

        Raises:
            DatasetUnwritable: the disk does not take it.
        """
        target = self._scratch / str(len(self.files))
        with _unpacking():
            stream = target.open("xb", buffering=0)
        with stream:
            while piece := content.read(_COPY_BYTES):
                with _unpacking():
                    _write(stream, piece)
        name = inner_name(member.name)
        assert name is not None  # else it is not wanted
        self.files[name] = target

    def finish(self) -> Unpacked:
        """What was unpacked."""
        return self.files, tuple(self.rejects)

    def count(self, size: int) -> None:
        """Refuse the whole beyond the limits, before what passes them is unpacked.

        Raises:
            SourceRefused: this entry is the one too many.
        """
        self._num_seen += 1
        self._num_bytes += size
        if self._num_seen > MAX_FILES or self._num_bytes > MAX_UNPACKED_BYTES:
            raise SourceRefused(
                f"The {self._kind} unpacks to more than {MAX_FILES:,} files or "
                f"{MAX_UNPACKED_BYTES >> 30} GiB.",
                next_step="Import it in parts.",
            )

    def _why_not(self, member: Member, name: str | None) -> str:
        if name is None:
            return "its path leads out of the folder"
        if member.fault:
            return member.fault
        if name in self.files:
            return "a file of this name came before"
        if member.size > MAX_FIELD_BYTES and not name.lower().endswith(TABLE_SUFFIXES):
            return f"it holds {member.size:,} bytes; at most {MAX_FIELD_BYTES:,} are accepted"
        return ""

    def broken(self) -> SourceRefused:
        """What to raise where the packed folder cannot be read on."""
        return SourceRefused(
            f"The {self._kind} is broken or was cut off after {len(self.files)} files.",
            next_step="Pack it again and check that the whole of it arrives.",
        )


def inner_name(name: str) -> str | None:
    """A path inside the source in its plain form, or None if it would lead out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        return None
    return path.as_posix()


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _write(stream: FileIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[stream.write(left) :]


@contextmanager
def _unpacking() -> Iterator[None]:
    """Faults of our own disk, which are not the packed folder's.

    Raises:
        DatasetUnwritable: the block met one.
    """
    try:
        yield
    except OSError as error:
        raise DatasetUnwritable(
            f"What was sent cannot be unpacked: {error.strerror}.",
            next_step="See that the disk is not full and the hub's folder can be written.",
        ) from error
