"""A source as a flat mapping of names to files, whether it is one file, a folder, a tar or a zip.

Nothing is ever looked up on disk by a name that came from outside: names are keys of this mapping,
so a path cannot lead out of the folder. Members of a packed folder are unpacked under numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dizuo.datasets.errors import SourceRefused
from dizuo.datasets.importing.tarred import is_tar, unpack_tar
from dizuo.datasets.importing.zipped import is_zip, unpack_zip
from dizuo.datasets.model import Reject


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
        path: a file, a folder, or a folder packed as tar (plain, or with gzip, bzip2, xz) or zip.
        scratch: where a packed folder's members are unpacked; made if needed.

    Raises:
        SourceRefused: it is not there, empty, broken or too large.
        DatasetUnwritable: its members cannot be unpacked.
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
    if is_tar(path):
        return Bundle(path, *unpack_tar(path, scratch))
    if is_zip(path):
        return Bundle(path, *unpack_zip(path, scratch))
    return Bundle(path, single=path)


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
