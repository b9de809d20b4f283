"""A source as a flat mapping of names to files, whether it is one file, a folder or a tar file.

Nothing is ever looked up on disk by a name that came from outside: names are keys of this mapping,
so a path cannot lead out of the folder. Members of a tar file are unpacked under numbers.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO

from dizuo.datasets.content import MAX_FIELD_BYTES
from dizuo.datasets.errors import DatasetUnwritable, SourceRefused
from dizuo.datasets.model import Reject

MAX_FILES = 2_000_000
MAX_UNPACKED_BYTES = 64 * 2**30
_COPY_BYTES = 1 << 20
_TABLE_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
_TAR_FAULTS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a source by their names inside it, and what could not be taken.

    `single` is set instead of `files` when the source is one plain file.
    """

    path: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()
    single: Path | None = None

    def tables(self, suffixes: tuple[str, ...]) -> list[tuple[str, Path]]:
        """The tables of the source: its one file, or those with one of these endings, by name."""
        if self.single is not None:
            return [(self.single.name, self.single)]
        return sorted(
            (name, path) for name, path in self.files.items() if name.lower().endswith(suffixes)
        )


def open_bundle(path: Path, scratch: Path) -> Bundle:
    """The files of a source.

    Args:
        path: a file, a folder, or a tar file of a folder (plain, or packed with gzip, bzip2, xz).
        scratch: where a tar file's members are unpacked; made if needed.

    Raises:
        SourceRefused: it is not there, empty, broken or too large.
        DatasetUnwritable: a tar file's members cannot be unpacked.
    """
    if path.is_dir():
        return _open_folder(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SourceRefused(
            f"{path.name} cannot be read: {error.strerror}.", next_step="Check the path."
        ) from error
    if size == 0:
        raise SourceRefused(
            f"The file {path.name} is empty.", next_step="Check that it was written whole."
        )
    if _is_tar(path):
        return _open_tar(path, scratch)
    return Bundle(path, single=path)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except EOFError:  # two bytes of gzip, and no more of it
        return False


def _open_folder(folder: Path) -> Bundle:
    files, rejects = {}, []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            place = path.relative_to(folder).as_posix()
            if name.startswith("."):
                continue
            if path.is_symlink() or not path.is_file():
                rejects.append(Reject(place, "it is not a regular file"))
            else:
                files[place] = path
    if not files:
        raise SourceRefused(
            f"There is no file in the folder {folder.name}.", next_step="Check the path."
        )
    return Bundle(folder, files, tuple(rejects))


def _open_tar(path: Path, scratch: Path) -> Bundle:
    files: dict[str, Path] = {}
    rejects: list[Reject] = []
    with _unpacking():
        scratch.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in _bounded(archive):
                name = inner_name(member.name)
                if name is not None and _is_hidden(name):
                    continue
                reason = _why_not(member, name, files)
                if reason or name is None:
                    rejects.append(Reject(member.name[:200], reason))
                    continue
                content = archive.extractfile(member)
                assert content is not None  # only regular files come here
                files[name] = _unpack(content, scratch / str(len(files)))
    except _TAR_FAULTS as error:
        raise SourceRefused(
            f"The tar file is broken or was cut off after {len(files)} files.",
            next_step="Pack it again and check that the whole of it arrives.",
        ) from error
    return Bundle(path, files, tuple(rejects))


def inner_name(name: str) -> str | None:
    """A path inside the source in its plain form, or None if it would lead out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        return None
    return path.as_posix()


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _why_not(member: tarfile.TarInfo, name: str | None, files: Mapping[str, Path]) -> str:
    if name is None:
        return "its path leads out of the folder"
    if not member.isreg():
        return "it is not a regular file"
    if name in files:
        return "a file of this name came before"
    if member.size > MAX_FIELD_BYTES and not name.lower().endswith(_TABLE_SUFFIXES):
        return f"it holds {member.size:,} bytes; at most {MAX_FIELD_BYTES:,} are accepted"
    return ""


def _bounded(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members but folders, refused as a whole beyond the limits, before they are unpacked."""
    num_bytes = 0
    for num_files, member in enumerate(archive, start=1):
        num_bytes += member.size
        if num_files > MAX_FILES or num_bytes > MAX_UNPACKED_BYTES:
            raise SourceRefused(
                f"The tar file unpacks to more than {MAX_FILES:,} files or "
                f"{MAX_UNPACKED_BYTES >> 30} GiB.",
                next_step="Import it in parts.",
            )
        if not member.isdir():
            yield member


def _unpack(content: IO[bytes], target: Path) -> Path:
    with _unpacking():
        stream = target.open("xb", buffering=0)
    with stream:
        while piece := content.read(_COPY_BYTES):
            with _unpacking():
                _write(stream, piece)
    return target


def _write(stream: FileIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[stream.write(left) :]


@contextmanager
def _unpacking() -> Iterator[None]:
    """Faults of our own disk, which are not the tar file's.

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
