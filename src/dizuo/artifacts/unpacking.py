"""Laying a stack out on disk, for trainers and engines."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from dizuo.artifacts.disk import telling_full_disk
from dizuo.artifacts.errors import DestinationTaken
from dizuo.artifacts.layout import Layout, corrupt, missing
from dizuo.artifacts.locking import exclusive_lock
from dizuo.artifacts.model import Blob, LayerBlobs, LayerDirectory, StackFiles, StackIndex
from dizuo.artifacts.reading import read_stack
from dizuo.core.digests import canonical_json, sha256_file
from dizuo.core.files import fsync_directory, write_atomic
from dizuo.core.ids import new_id

MARKER = ".dizuo-stack.json"
"""Written into the folder last; says which stack in which target lies there."""


def unpack(layout: Layout, index_digest: str, target: str, destination: Path) -> StackFiles:
    """Lay a stack out under `destination`, one folder per layer (`L1/meter-reading/…`).

    Every byte is checked against its digest before it counts. The folder appears whole or not at
    all; a folder that already holds this stack, whole, is left as it is, and one whose files are
    damaged is laid out anew. Files are read-only hard links to the layout's blobs, or copies where
    the file system cannot link.

    Raises:
        BlobMissing, BlobCorrupt, StackRefused, TargetMissing: the stack cannot be read; a damaged
            blob is put aside, so that the next fetch brings it again.
        DestinationTaken: the folder holds something else; it is not touched.
        DiskFull: there is no room; nothing is left behind.
    """
    stack = read_stack(layout, index_digest, only=(target,))
    layers = stack.targets[target].layers
    marker = canonical_json({"format": 1, "digest": index_digest, "target": target})
    destination.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(destination.with_name(f".{destination.name}.lock")):
        _sweep(destination)
        if not _is_whole(destination, marker, layers):
            with telling_full_disk(f"the stack {stack.name}:{stack.version}"):
                _lay_out(layout, layers, marker, destination)
    return _stack_files(stack, target, destination)


def _stack_files(stack: StackIndex, target: str, destination: Path) -> StackFiles:
    return StackFiles(
        name=stack.name,
        version=stack.version,
        digest=stack.digest,
        target=target,
        layers=tuple(
            LayerDirectory(layer.level, layer.name, _folder(destination, layer))
            for layer in stack.targets[target].layers
        ),
    )


def _folder(root: Path, layer: LayerBlobs) -> Path:
    return root / layer.level.value / layer.name


def _sweep(destination: Path) -> None:
    """Remove what an attempt left that was killed; the lock says that nobody is at it."""
    ours = re.compile(rf"\.{re.escape(destination.name)}\.[0-9a-f-]{{36}}\.tmp")
    for left in destination.parent.iterdir():
        if ours.fullmatch(left.name):
            shutil.rmtree(left)


def _is_whole(destination: Path, marker: bytes, layers: tuple[LayerBlobs, ...]) -> bool:
    if not destination.exists():
        return False
    try:
        found = (destination / MARKER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        found = b""
    if found != marker:
        raise DestinationTaken(
            f"{destination} holds something else.", next_step="Unpack into a new folder."
        )
    return all(
        _matches(_folder(destination, layer) / file.path, file.blob)
        for layer in layers
        for file in layer.files
    )


def _matches(path: Path, blob: Blob) -> bool:
    if not path.is_file() or path.stat().st_size != blob.size_bytes:
        return False
    return sha256_file(path) == blob.digest


def _lay_out(
    layout: Layout, layers: tuple[LayerBlobs, ...], marker: bytes, destination: Path
) -> None:
    building = _aside(destination)
    try:
        for layer in layers:
            for file in layer.files:
                _place(layout, file.blob, _folder(building, layer) / file.path)
        write_atomic(building / MARKER, marker)
        if destination.exists():
            os.rename(destination, _aside(destination))
        os.rename(building, destination)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    fsync_directory(destination.parent)
    _sweep(destination)


def _aside(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.{new_id()}.tmp")


def _place(layout: Layout, blob: Blob, path: Path) -> None:
    if not layout.claim(blob):
        raise missing(blob.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    _link_or_copy(layout.path(blob.digest), path)
    if sha256_file(path) != blob.digest:
        layout.quarantine(blob.digest)
        raise corrupt(blob.digest)


def _link_or_copy(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # another file system, or one that does not link; a full disk shows in the copy
        shutil.copyfile(source, path)
