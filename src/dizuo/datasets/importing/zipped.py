"""Folders packed as zip, by whichever program."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path

from dizuo.datasets.importing.unpacking import Member, Unpacked, Unpacking

_BEGINS = (b"PK\x03\x04", b"PK\x05\x06")
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_LEGACY_NAMES = ("utf-8", "gb18030")
"""What names that do not say their encoding are tried as: some programs forget to say so, and
those of Chinese Windows write its own."""
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip file does."""
    with path.open("rb") as stream:
        return stream.read(4) in _BEGINS


def unpack_zip(path: Path, scratch: Path) -> Unpacked:
    """The files of a zip file, unpacked into `scratch`.

    A member never unpacks to more than it says: what would be more is a broken zip file.

    Raises:
        SourceRefused: it is broken or too large.
        DatasetUnwritable: its members cannot be unpacked.
    """
    taking = Unpacking("zip file", scratch)
    try:
        with zipfile.ZipFile(path) as archive:
            for one in archive.infolist():
                if one.is_dir():
                    continue
                member = Member(name_of(one), one.file_size, _fault(one))
                if taking.wants(member):
                    with archive.open(one) as content:
                        taking.take(member, content)
    except _FAULTS as error:
        raise taking.broken() from error
    return taking.finish()


def name_of(member: zipfile.ZipInfo) -> str:
    """A member's name as people wrote it; Windows' separators become slashes."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAME:
        raw = name.encode("cp437", "replace")
        for encoding in _LEGACY_NAMES:
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")


def _fault(member: zipfile.ZipInfo) -> str:
    if member.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "it is not a regular file"
    return ""
