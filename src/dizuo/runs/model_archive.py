"""A model directory as the tar archive it is sent in: sketched from its headers, or unpacked whole.

What comes is bounded before it is written: by number, by size, by how much larger than the archive
it unpacks to, and, whole, by the room on the disk.
"""

from __future__ import annotations

import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from dizuo.artifacts.disk import require_room, telling_full_disk
from dizuo.datasets.uploads import MAX_UPLOAD_BYTES
from dizuo.families.base import Importer
from dizuo.families.errors import ModelRefused

MAX_MODEL_FILES = 1000
MAX_MODEL_BYTES = MAX_UPLOAD_BYTES
"""No more than can be sent."""
MAX_UNPACKING = 200
"""How many times the size of its archive a model may have. Weights shrink by less than half."""
MAX_SKETCH_BYTES = 512 * 2**20
"""The most that a sketch holds: texts whole, of weights the headers."""
_ANY_RATIO_BYTES = 2**20
_SMALL_BYTES = 2**16
_TEXT_BYTES = 200_000_000
_TEXTS = (".json", ".txt")
_WEIGHTS = ".safetensors"
_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_MAX_UNPACKED_TO_SKETCH = 2**30
_COPY_BYTES = 1 << 20
_TAR_FAULTS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)


def unpack_model(archive: Path, destination: Path) -> Path:
    """The model directory of a tar archive, laid out in a new folder; returns where the model lies.

    A directory that was packed together with its own name counts as the model itself.

    Raises:
        ModelRefused: it is no tar archive, is cut off, leads out of its folder, holds anything but
            files and folders, or is too large.
        DiskFull: there is not enough room for it.
    """
    destination.mkdir(parents=True)
    with _telling_broken(), tarfile.open(archive, "r:*") as opened:
        for member in _bounded(opened, archive):
            require_room(destination, member.size)
            _copy(_content(opened, member), _made(destination, member), member.size)
    return _model_in(destination)


def sketch_model(archive: Path, destination: Path, importer: Importer) -> Path | None:
    """The model directory of a tar archive with as little of it as tells an importer what it is.

    Small files and texts are there whole, and so are files that the importer names. Others have
    their name and size, but no content, save the headers of safetensors files and what the importer
    asks for: they are sparse, and take no room. None where the archive
    is compressed and so large that somebody who waits should not wait for it to be read.

    Raises:
        ModelRefused: as `unpack_model`.
        DiskFull: there is not enough room for the sketch.
    """
    destination.mkdir(parents=True)
    is_plain = _is_plain(archive)
    passed = kept = 0
    with _telling_broken(), tarfile.open(archive, "r:*") as opened:
        for member in _bounded(opened, archive):
            passed += member.size
            if not is_plain and passed > _MAX_UNPACKED_TO_SKETCH:
                return None
            target = _made(destination, member)
            kept += _sketch(_content(opened, member), target, member.size, importer)
            if kept > MAX_SKETCH_BYTES:
                raise ModelRefused(
                    f"The model's texts and headers hold more than {MAX_SKETCH_BYTES >> 20} MiB.",
                    next_step="Send the model's own files only.",
                )
    return _model_in(destination)


def _sketch(content: IO[bytes], target: Path, size_bytes: int, importer: Importer) -> int:
    """Make a file of this size that holds the start of a member; how many bytes that is."""
    num_bytes = _num_sketched(content, target.name.lower(), size_bytes, importer)
    content.seek(0)
    _copy(content, target, num_bytes)
    with target.open("ab") as stream:
        stream.truncate(size_bytes)
    return num_bytes


def _num_sketched(content: IO[bytes], name: str, size_bytes: int, importer: Importer) -> int:
    if name.endswith(_WEIGHTS):
        length = content.read(_LENGTH.size)
        if len(length) < _LENGTH.size:
            return size_bytes
        header_bytes: int = _LENGTH.unpack(length)[0]
        whole = _LENGTH.size + header_bytes
        return whole if header_bytes <= _MAX_HEADER_BYTES and whole <= size_bytes else _LENGTH.size
    head = importer.HEADS.get(PurePosixPath(name).suffix)
    if head is not None:
        return min(size_bytes, head)
    is_named = any(fnmatchcase(name, pattern) for pattern in importer.FILES)
    is_text = (is_named or name.endswith(_TEXTS)) and size_bytes <= _TEXT_BYTES
    return size_bytes if is_text or size_bytes <= _SMALL_BYTES else 0


@contextmanager
def _telling_broken() -> Iterator[None]:
    try:
        yield
    except _TAR_FAULTS as error:
        raise ModelRefused(
            "The model's archive is broken or was cut off.",
            next_step="Send the directory again: dizuo model import PATH.",
        ) from error


def _is_plain(archive: Path) -> bool:
    try:
        tarfile.open(archive, "r:").close()
    except tarfile.TarError:
        return False
    return True


def _bounded(opened: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """The files, each found acceptable before it is given out."""
    most = max(_ANY_RATIO_BYTES, MAX_UNPACKING * archive.stat().st_size)
    num_bytes = 0
    for num_files, member in enumerate(opened, start=1):
        num_bytes += member.size
        if num_files > MAX_MODEL_FILES or num_bytes > MAX_MODEL_BYTES:
            raise ModelRefused(
                f"The model has more than {MAX_MODEL_FILES:,} files or "
                f"{MAX_MODEL_BYTES >> 30} GiB.",
                next_step="Send the model's own files only.",
            )
        if num_bytes > most:
            raise ModelRefused(
                f"The archive unpacks to more than {MAX_UNPACKING} times its size.",
                next_step="Send the directory itself, or an archive that is not compressed.",
            )
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise ModelRefused(
                f"The archive holds {member.name[:80]!r}, which is not a plain file inside it.",
                next_step="Send a directory of plain files, without links.",
            )
        if member.isfile():
            yield member


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = opened.extractfile(member)
    assert content is not None  # only files come here
    return content


def _made(destination: Path, member: tarfile.TarInfo) -> Path:
    """The new, empty file that a member becomes."""
    target = destination / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.open("xb").close()
    return target


def _copy(content: IO[bytes], target: Path, num_bytes: int) -> None:
    """Add so many bytes to a file."""
    left = num_bytes
    with telling_full_disk("the model"), target.open("ab") as stream:
        while left and (piece := content.read(min(left, _COPY_BYTES))):
            stream.write(piece)
            left -= len(piece)


def _model_in(folder: Path) -> Path:
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
