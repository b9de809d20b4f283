"""Checkpoints that are whole or do not count, for every trainer. Light.

A trainer writes a checkpoint as a folder of files, in its own way and in no safe order, and may be
killed at any moment. `seal` makes the folder count: it syncs every file and writes, last and
atomically, a manifest with the digest of each. `newest` picks the newest folder whose manifest
verifies; what does not verify is treated as never written. (Transformers itself resumes silently
from half a checkpoint.)
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dizuo.core.digests import sha256_file
from dizuo.core.files import fsync_directory, write_json

MANIFEST_NAME = "dizuo-checkpoint.json"
KEPT = 2
_FOLDER = re.compile(r"checkpoint-(\d+)")
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    work: Digest
    files: dict[str, Digest]


def seal(folder: Path, work: str) -> None:
    """Make a checkpoint count.

    Args:
        folder: `checkpoint-<step>`, every file of which has been written.
        work: the digest of what is being trained (method, seed, data); a checkpoint of other work
            is never resumed from.
    """
    files = {str(path.relative_to(folder)): path for path in _files(folder)}
    for path in files.values():
        _fsync(path)
    manifest = _Manifest(work=work, files={name: sha256_file(p) for name, p in files.items()})
    write_json(folder / MANIFEST_NAME, manifest.model_dump())
    fsync_directory(folder.parent)


def verifies(folder: Path, work: str) -> bool:
    """Whether a folder is a sealed checkpoint of this work with every byte in place."""
    try:
        manifest = _Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValidationError):
        return False
    found = {str(path.relative_to(folder)) for path in _files(folder)}
    return (
        manifest.work == work
        and found == set(manifest.files)
        and all(sha256_file(folder / name) == digest for name, digest in manifest.files.items())
    )


def newest(root: Path, work: str) -> Path | None:
    """The newest checkpoint of this work under `root` that verifies, or None."""
    return next((folder for folder in _newest_first(root) if verifies(folder, work)), None)


def prune(root: Path, work: str, *, keep: int = KEPT) -> None:
    """Remove all but the `keep` newest checkpoints that verify.

    Folders that do not verify go too, so a later listing never has to choose among them.
    """
    kept = 0
    for folder in _newest_first(root):
        if kept < keep and verifies(folder, work):
            kept += 1
        else:
            shutil.rmtree(folder)


def _newest_first(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    steps = [
        (int(match.group(1)), path)
        for path in root.iterdir()
        if (match := _FOLDER.fullmatch(path.name)) and path.is_dir()
    ]
    return [path for _, path in sorted(steps, reverse=True)]


def _files(folder: Path) -> list[Path]:
    """Every file of a checkpoint but its manifest, and what an atomic write left half done."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME and path.suffix != ".tmp"
    )


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
