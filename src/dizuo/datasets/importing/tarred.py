"""Folders packed as tar: plain, or with gzip, bzip2 or xz."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from pathlib import Path

from dizuo.datasets.importing.unpacking import Member, Unpacked, Unpacking

_FAULTS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)


def is_tar(path: Path) -> bool:
    """Whether a file begins as a tar file does."""
    try:
        return tarfile.is_tarfile(path)
    except EOFError:  # two bytes of gzip, and no more of it
        return False


def unpack_tar(path: Path, scratch: Path) -> Unpacked:
    """The files of a tar file, unpacked into `scratch`.

    Raises:
        SourceRefused: it is broken or too large.
        DatasetUnwritable: its members cannot be unpacked.
    """
    taking = Unpacking("tar file", scratch)
    try:
        with tarfile.open(path, "r:*") as archive:
            for one in archive:
                if one.isdir():
                    taking.count(one.size)
                    continue
                fault = "" if one.isreg() else "it is not a regular file"
                member = Member(one.name, one.size, fault)
                if taking.wants(member):
                    content = archive.extractfile(one)
                    assert content is not None  # only regular files come here
                    taking.take(member, content)
    except _FAULTS as error:
        raise taking.broken() from error
    return taking.finish()
