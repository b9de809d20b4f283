"""The nouns of a stack: levels, files of a layer, blobs, and a stack laid out in folders.

A *layer* is what one recipe adds; on disk it is a folder of files. A *stack* is an ordered list of
layers that can run. In the registry a stack version is an OCI index with one manifest per target;
`dizuo.artifacts.stacks` turns the one into the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    """Where in a stack a layer sits."""

    L0 = "L0"
    L1 = "L1"
    L2 = "L2"


class FileRole(StrEnum):
    """What a file of a layer is for; kept as the annotation `io.dizuo.role` of its blob."""

    WEIGHTS = "weights"
    CONFIG = "config"
    TOKENIZER = "tokenizer"
    PREPROCESSING = "preprocessing"
    SCHEMA = "schema"
    GOLDEN = "golden"
    CALIBRATION = "calibration"
    TRAINED_ANSWERS = "trained-answers"


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One file of a layer, before it is a blob.

    `path` is its name inside the layer's folder (`adapter.safetensors`), `source` where its bytes
    lie now.
    """

    path: str
    source: Path
    role: FileRole


@dataclass(frozen=True, slots=True)
class LayerDirectory:
    """One layer of a stack, its files laid out under `directory` by their paths."""

    level: Level
    name: str
    directory: Path


@dataclass(frozen=True, slots=True)
class StackFiles:
    """A stack version in one target's form, laid out on disk: base first, its own layer last."""

    name: str
    version: int
    digest: str
    target: str
    layers: tuple[LayerDirectory, ...]

    @property
    def base(self) -> LayerDirectory:
        """The L0 layer."""
        return self.layers[0]

    @property
    def top(self) -> LayerDirectory:
        """The stack's own layer."""
        return self.layers[-1]


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the registry, by digest."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BlobFile:
    """One file of a layer, as a blob. `path` is its name inside the layer's folder."""

    path: str
    role: FileRole
    blob: Blob


@dataclass(frozen=True, slots=True)
class LayerBlobs:
    """One layer of a stack, as blobs."""

    level: Level
    name: str
    files: tuple[BlobFile, ...]

    @property
    def blobs(self) -> frozenset[Blob]:
        """The layer's blobs, each once."""
        return frozenset(file.blob for file in self.files)


@dataclass(frozen=True, slots=True)
class StackManifest:
    """A stack version for one target: base first, its own layer last."""

    target: str
    manifest: Blob
    config: Blob
    layers: tuple[LayerBlobs, ...]

    @property
    def blobs(self) -> frozenset[Blob]:
        """Every file of every layer, each distinct blob once."""
        return frozenset().union(*(layer.blobs for layer in self.layers))

    @property
    def blobs_added(self) -> frozenset[Blob]:
        """The blobs of the stack's own layer that no layer below it has."""
        return self.layers[-1].blobs.difference(*(layer.blobs for layer in self.layers[:-1]))

    @property
    def bytes_total(self) -> int:
        """Bytes of every file that this target needs."""
        return _bytes_of(self.blobs)

    @property
    def bytes_added(self) -> int:
        """Bytes that a place which has the parent in this target must fetch."""
        return _bytes_of(self.blobs_added)


@dataclass(frozen=True, slots=True)
class StackIndex:
    """A stack version: what its OCI index says, with the manifests that were read.

    `targets` has one manifest per target, all of them unless the reader asked for some only;
    `annotations` are those that are not part of the identity.
    """

    digest: str
    size_bytes: int
    project: str
    name: str
    version: int
    level: Level
    family: str
    parent_digest: str | None
    annotations: Mapping[str, str]
    targets: Mapping[str, StackManifest]

    @property
    def bytes_total(self) -> int:
        """Bytes of the files of all targets that were read, each distinct blob once."""
        return _bytes_of(frozenset().union(*(m.blobs for m in self.targets.values())))

    @property
    def bytes_added(self) -> int:
        """Bytes of the stack's own layer in all targets that were read."""
        return _bytes_of(frozenset().union(*(m.blobs_added for m in self.targets.values())))


def _bytes_of(blobs: frozenset[Blob]) -> int:
    return sum(blob.size_bytes for blob in blobs)
