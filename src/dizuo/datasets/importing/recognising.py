"""What a file probably is, told from its name and its first bytes: a suggestion, no decision."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath

from dizuo.core.errors import DizuoError
from dizuo.datasets.content import MAX_FIELD_BYTES, normalise
from dizuo.datasets.importing.base import SUFFIXES, Format, read_source
from dizuo.datasets.importing.tarred import is_tar
from dizuo.datasets.importing.zipped import is_zip, name_of
from dizuo.datasets.model import LABEL_COLUMN, Candidate
from dizuo.families import registry
from dizuo.families.base import Spec

_NUM_MEMBERS = 200
_NUM_ROWS = 20
_NUM_PICTURES = 3
_FAULTS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError)
Row = Mapping[str, object]


def likely_format(path: Path, name: str) -> Format | None:
    """The format of a file that people call `name`; None where nothing tells.

    A packed folder holds the kind of tables that comes first in it, or else pictures.
    """
    if is_tar(path) or is_zip(path):
        names = [one for one, _ in _members(path, 0)]
        return next(filter(None, map(_by_suffix, names)), Format.IMAGES) if names else None
    return _by_suffix(name)


def likely_family(path: Path, form: Format) -> str:
    """The installed family that can use most of the first rows; empty where none can use any."""
    found = {name: _num_usable(registry.spec(name), path, form) for name in _families()}
    best = max(found, key=lambda name: found[name], default="")
    return best if best and found[best] else ""


def _families() -> list[str]:
    return sorted(registry.family_packages())


def _by_suffix(name: str) -> Format | None:
    lower = name.lower()
    return next((form for form, ends in SUFFIXES.items() if lower.endswith(ends)), None)


def _num_usable(spec: Spec, path: Path, form: Format) -> int:
    number = 0
    for row in islice(_first_rows(spec, path, form), _NUM_ROWS):
        with suppress(DizuoError):
            number += not spec.check_row(normalise(row))
    return number


def _first_rows(spec: Spec, path: Path, form: Format) -> Iterator[Row]:
    if form is Format.IMAGES:
        for name, data in islice(_members(path, MAX_FIELD_BYTES), _NUM_PICTURES):
            yield {spec.COLUMNS[0]: data, LABEL_COLUMN: PurePosixPath(name).parent.name}
        return
    if is_tar(path) or is_zip(path):
        return  # to read a table in it, all of it would have to be unpacked
    with suppress(DizuoError):
        for record in read_source(path, form, spec.COLUMNS, path.parent / "unused"):
            if isinstance(record, Candidate):
                yield record.columns


def _members(path: Path, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """The first files of a packed folder, but for hidden ones, each with its first bytes."""
    members = _zip_members(path, max_bytes) if is_zip(path) else _tar_members(path, max_bytes)
    with suppress(*_FAULTS):
        for name, data in islice(members, _NUM_MEMBERS):
            if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts):
                yield name, data


def _zip_members(path: Path, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for one in archive.infolist():
            if not one.is_dir():
                with archive.open(one) as content:
                    yield name_of(one), content.read(max_bytes)


def _tar_members(path: Path, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:*") as archive:
        for one in archive:
            if one.isreg():
                content = archive.extractfile(one)
                yield one.name, content.read(max_bytes) if content else b""
