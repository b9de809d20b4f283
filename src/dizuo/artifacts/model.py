"""The nouns of a stack: levels, files of a layer, and a stack laid out in folders.

A *layer* is what one recipe adds; on disk it is a folder of files. A *stack* is an ordered list of
layers that can run. In the registry a stack version is an OCI index with one manifest per target;
`dizuo.artifacts.stacks` turns the one into the other.
"""

from __future__ import annotations

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
