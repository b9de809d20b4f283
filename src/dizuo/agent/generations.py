"""Generations on disk: the stacks of one desired state laid out, and proof that they are whole.

`generation.json` is written last and names every file with the digest that its signed manifest
gives, so a folder without it is unfinished, and one with it can be checked without a hub.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dizuo.agent.errors import GenerationDamaged, HomeDamaged
from dizuo.agent.home import read_json
from dizuo.artifacts.disk import telling_full_disk
from dizuo.artifacts.garbage import collect_garbage
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import LayerDirectory, Level, StackFiles, StackManifest
from dizuo.artifacts.stacks import read_stack, unpack
from dizuo.core.digests import sha256_file, sha256_json
from dizuo.core.files import write_json
from dizuo.edge.wire import DesiredState, Direction

_MANIFEST = "generation.json"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of a staged stack: its path below the generation's folder and what it must be."""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StagedStack:
    """One direction laid out. Stacks whose `base` is equal may share an engine."""

    direction: Direction
    base: str
    files: StackFiles
    staged: tuple[StagedFile, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """One desired state laid out under `directory`."""

    number: int
    directory: Path
    stacks: tuple[StagedStack, ...]

    @property
    def state(self) -> DesiredState:
        """The desired state that this is."""
        return DesiredState(
            generation=self.number, stacks=tuple(stack.direction for stack in self.stacks)
        )

    @property
    def size_bytes(self) -> int:
        """Bytes of its distinct files."""
        distinct = {file.digest: file.size_bytes for stack in self.stacks for file in stack.staged}
        return sum(distinct.values())


def stage(layout: Layout, root: Path, desired: DesiredState) -> Generation:
    """Lay out a desired state whose blobs are all in the layout.

    A folder that an earlier attempt finished for the same set is checked and used again; anything
    else under that number is cleared first.

    Raises:
        DiskFull: there is no room.
        BlobCorrupt: a blob in the layout is damaged; it was put aside to be fetched again.
        OSError: the folder cannot be written.
    """
    directory = root / str(desired.generation)
    finished = _finished(root, desired)
    if finished is not None:
        return finished
    shutil.rmtree(directory, ignore_errors=True)
    with telling_full_disk(f"generation {desired.generation}"):
        directory.mkdir(parents=True)
        stacks = tuple(_lay_out(layout, directory, direction) for direction in desired.stacks)
        generation = Generation(desired.generation, directory, stacks)
        write_json(directory / _MANIFEST, _encode(generation))
    return generation


def _finished(root: Path, desired: DesiredState) -> Generation | None:
    try:
        generation = load(root, desired.generation)
        verify(generation)
    except GenerationDamaged:
        return None
    return generation if generation.state == desired else None


def _lay_out(layout: Layout, directory: Path, direction: Direction) -> StagedStack:
    index = read_stack(layout, direction.digest, only=(direction.target,))
    manifest = index.targets[direction.target]
    destination = directory / direction.served_as
    files = unpack(layout, direction.digest, direction.target, destination)
    return StagedStack(
        direction, base_of(manifest), files, _staged_files(directory, files, manifest)
    )


def base_of(manifest: StackManifest) -> str:
    """A digest that two stacks share exactly when their base layers have the same files."""
    return sha256_json(sorted((file.path, file.blob.digest) for file in manifest.layers[0].files))


def _staged_files(
    directory: Path, files: StackFiles, manifest: StackManifest
) -> tuple[StagedFile, ...]:
    return tuple(
        StagedFile(
            str((laid_out.directory / file.path).relative_to(directory)),
            file.blob.digest,
            file.blob.size_bytes,
        )
        for laid_out, layer in zip(files.layers, manifest.layers, strict=True)
        for file in layer.files
    )


def damaged_files(generation: Generation) -> list[StagedFile]:
    """The files that are missing or are not what was signed."""
    return [
        file
        for stack in generation.stacks
        for file in stack.staged
        if not _holds(generation.directory / file.path, file.digest)
    ]


def _holds(path: Path, digest: str) -> bool:
    try:
        return sha256_file(path) == digest
    except OSError:
        return False


def verify(generation: Generation) -> None:
    """Check every file against its digest.

    Raises:
        GenerationDamaged: one is missing or is not what was signed.
    """
    damaged = damaged_files(generation)
    if damaged:
        raise damage(generation, damaged[0])


def repair(layout: Layout, generation: Generation) -> None:
    """Forget a damaged generation and the damaged blobs behind it, so both can be had again."""
    for file in damaged_files(generation):
        if layout.has(file.digest) and sha256_file(layout.path(file.digest)) != file.digest:
            layout.quarantine(file.digest)
    shutil.rmtree(generation.directory, ignore_errors=True)


def damage(generation: Generation, file: StagedFile) -> GenerationDamaged:
    """The error for a file that is not what was signed."""
    return GenerationDamaged(
        f"{file.path} of generation {generation.number} is not what was signed.",
        next_step="The agent fetches it again at its next contact with the hub.",
    )


def load(root: Path, number: int) -> Generation:
    """The generation of this number as it was staged; its files are not looked at.

    Raises:
        GenerationDamaged: it is not there, unfinished, or its record cannot be read.
    """
    directory = root / str(number)
    try:
        value = read_json(directory / _MANIFEST)
        if value is None:
            raise GenerationDamaged(f"Generation {number} is not whole on this site.")
        return Generation(
            value["generation"], directory, tuple(_decode(directory, s) for s in value["stacks"])
        )
    except (HomeDamaged, ValidationError, KeyError, TypeError, ValueError, OSError) as error:
        raise GenerationDamaged(f"The record of generation {number} cannot be read.") from error


def _encode(generation: Generation) -> dict[str, Any]:
    return {
        "format": 1,
        "generation": generation.number,
        "stacks": [_encode_stack(generation.directory, stack) for stack in generation.stacks],
    }


def _encode_stack(directory: Path, stack: StagedStack) -> dict[str, Any]:
    layers = [
        {
            "level": layer.level.value,
            "name": layer.name,
            "directory": str(layer.directory.relative_to(directory)),
        }
        for layer in stack.files.layers
    ]
    return {
        "direction": stack.direction.model_dump(mode="json"),
        "base": stack.base,
        "layers": layers,
        "files": [asdict(file) for file in stack.staged],
    }


def _decode(directory: Path, value: dict[str, Any]) -> StagedStack:
    direction = Direction.model_validate(value["direction"])
    layers = tuple(
        LayerDirectory(Level(layer["level"]), layer["name"], directory / layer["directory"])
        for layer in value["layers"]
    )
    files = StackFiles(
        direction.name, direction.version, direction.digest, direction.target, layers
    )
    staged = tuple(StagedFile(**file) for file in value["files"])
    return StagedStack(direction, value["base"], files, staged)


def collect(root: Path, layout: Layout, keep: Collection[int]) -> None:
    """Remove generations other than those to keep, and blobs that none of these needs.

    Only to be called while nothing is fetched: blobs get no time of grace.
    """
    wanted: set[str] = set()
    for directory in root.iterdir() if root.is_dir() else ():
        if not directory.name.isdigit() or int(directory.name) not in keep:
            shutil.rmtree(directory, ignore_errors=True)
    for number in keep:
        try:
            wanted.update(stack.direction.digest for stack in load(root, number).stacks)
        except GenerationDamaged:
            continue
    collect_garbage(layout, grace_seconds=0, keep=wanted)
