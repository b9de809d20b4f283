"""Folders and files as byte streams of a known length, ready to be sent.

A folder becomes a tar archive that depends on nothing but the names and bytes in it: sorted, no
times, no owners. So the same folder has the same digest wherever it is packed, and the hub knows it
again.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dizuo.core.errors import InvalidInput

_PIECE_BYTES = 1 << 18
_END_BYTES = 2 * tarfile.BLOCKSIZE


class CannotSend(InvalidInput):
    """A file or folder that cannot be read, or holds nothing."""

    code = "cannot_send"


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something to send: its length, and its bytes from the start, as often as asked."""

    members: tuple[tuple[bytes, Path, int], ...]
    size_bytes: int
    is_folder: bool

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order.

        Raises:
            CannotSend: a file was changed, or cannot be read any more.
        """
        for header, path, size_bytes in self.members:
            if header:
                yield header
            yield from _file_pieces(path, size_bytes)
            if self.is_folder:
                yield bytes(_padding(size_bytes))
        if self.is_folder:
            yield bytes(_END_BYTES)


def pack(path: Path) -> Parcel:
    """A file as it is, or a folder as a tar archive.

    Hidden files are left out; links to files count as the files they lead to.

    Raises:
        CannotSend: there is nothing there, or nothing in it.
    """
    if path.is_dir():
        return _pack_folder(path)
    size_bytes = _size(path)
    return Parcel(((b"", path, size_bytes),), size_bytes, is_folder=False)


def pack_alone(path: Path) -> Parcel:
    """A file as the only one of a folder.

    Raises:
        CannotSend: there is no such file.
    """
    return _tar({path.name: path})


def _pack_folder(folder: Path) -> Parcel:
    parcel = _tar({path.relative_to(folder).as_posix(): path for path in _files(folder)})
    if not parcel.members:
        raise CannotSend(
            f"There are no files in {folder}.",
            next_step="Check the path; hidden files don't count.",
        )
    return parcel


def _tar(files: Mapping[str, Path]) -> Parcel:
    """Files by their names in the archive, in this order."""
    members, total = [], _END_BYTES
    for name, path in files.items():
        size_bytes = _size(path)
        header = _header(name, size_bytes)
        members.append((header, path, size_bytes))
        total += len(header) + size_bytes + _padding(size_bytes)
    return Parcel(tuple(members), total, is_folder=True)


def _files(folder: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(folder, onerror=_refuse):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(directory) / name


def _refuse(error: OSError) -> None:
    raise CannotSend(f"{error.filename} cannot be read: {error.strerror}.") from error


def _size(path: Path) -> int:
    try:
        if path.exists() and not path.is_file():
            raise CannotSend(f"{path} is neither a file nor a folder.")
        return path.stat().st_size
    except OSError as error:
        raise CannotSend(
            f"{path} cannot be read: {error.strerror}.", next_step="Check the path."
        ) from error


def _header(name: str, size_bytes: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    member.mode = 0o644
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CannotSend(
            f"The name {name!r} is not valid text.", next_step="Rename the file."
        ) from error
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size_bytes: int) -> int:
    return -size_bytes % tarfile.BLOCKSIZE


def _file_pieces(path: Path, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    try:
        with path.open("rb") as stream:
            while left and (piece := stream.read(min(_PIECE_BYTES, left))):
                left -= len(piece)
                yield piece
    except OSError as error:
        raise CannotSend(f"{path} cannot be read: {error.strerror}.") from error
    if left:
        raise CannotSend(
            f"{path} became shorter while it was sent.", next_step="Let it rest, then try again."
        )
