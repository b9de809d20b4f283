"""`layer.json`: what a vision layer is, and what it was made for. Light.

A base carries `config.json`, `preprocessing.json` and, by target, `model.safetensors` or
`model.onnx`; an adapter carries `adapter.safetensors`. Each layer names the digest of its weights;
an adapter also pins its base, the preprocessing, and the `layer.json` of every layer below it, so
the chain of pins covers every weight of the stack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dizuo.artifacts.model import LayerDirectory, StackFiles
from dizuo.core.digests import sha256_file
from dizuo.families.errors import LayerRefused

MANIFEST_NAME = "layer.json"
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
GRAPH_NAME = "model.onnx"
ADAPTER_NAME = "adapter.safetensors"
PREPROCESSING_NAME = "preprocessing.json"
ADAPTER_FORMAT: Literal["lora-f16-1"] = "lora-f16-1"
WEIGHTS_PROPERTY = "io.dizuo.weights"
"""The metadata property of `model.onnx` that holds the digest of the weights it was made from."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
_Shift = Annotated[float, Field(ge=-1e6, le=1e6)]
_Factor = Annotated[float, Field(ge=1e-6, le=1e6)]
"""Far beyond any real processor's, and well inside what single precision can keep."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocessing(_Part):
    """How a picture becomes what the network sees.

    Pictures lose all but their central square of `centre_crop` times the shorter side (if set),
    are resized to height x width, multiplied by `rescale`, and normalised per channel.
    """

    format: Literal[1] = 1
    height: Annotated[int, Field(ge=1, le=4096)]
    width: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3]
    centre_crop: Annotated[float, Field(gt=0, le=1)] | None = None
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    rescale: _Factor = 1 / 255
    mean: tuple[_Shift, ...]
    std: tuple[_Factor, ...]

    @model_validator(mode="after")
    def _one_per_channel(self) -> Preprocessing:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std need one value per channel")
        return self


class EngineRange(_Part):
    """The ONNX Runtime versions a layer runs on: from `at_least` up to, not including, `below`."""

    at_least: tuple[int, int] = (1, 20)
    below: tuple[int, int] = (2, 0)

    def holds(self, version: str) -> bool:
        """Whether a version such as `1.31.1` lies in the range."""
        major, minor = (int(part) for part in version.split(".")[:2])
        return self.at_least <= (major, minor) < self.below


class Manifest(_Part):
    """`layer.json`, format 1. `modules` are those an adapter may change (of a base) or does."""

    format: Literal[1] = 1
    kind: Literal["base", "lora"]
    architecture: str
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    embedding_size: Annotated[int, Field(ge=1)]
    modules: tuple[str, ...]
    weights: Digest
    base_weights: Digest
    preprocessing: Digest
    below: tuple[Digest, ...] = ()
    adapter_format: Literal["lora-f16-1"] | None = None
    rank: Annotated[int, Field(ge=1)] | None = None
    onnxruntime: EngineRange = EngineRange()


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a layer's folder.

    Raises:
        LayerRefused: it is missing, or not of a format this version knows.
    """
    try:
        return Manifest.model_validate_json((directory / MANIFEST_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise LayerRefused(
            f"The layer in {directory.name} has no {MANIFEST_NAME} that can be read.",
            next_step="Build the layer again, or update dizuo if it is from a newer version.",
        ) from error


def read_preprocessing(directory: Path) -> Preprocessing:
    """The preprocessing of a base's folder.

    Raises:
        LayerRefused: it is missing, or not of a format this version knows.
    """
    try:
        return Preprocessing.model_validate_json((directory / PREPROCESSING_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise LayerRefused(
            f"The base in {directory.name} has no {PREPROCESSING_NAME} that can be read."
        ) from error


def read_stack(stack: StackFiles) -> tuple[Manifest, ...]:
    """The manifests of a stack's layers, base first, once every pin holds.

    Raises:
        LayerRefused: a layer does not fit what lies below it; says which and why.
    """
    manifests = tuple(read_manifest(layer.directory) for layer in stack.layers)
    if manifests[0].kind != "base":
        raise _refused(stack.layers[0], "is not a base, though the stack begins with it")
    _require_digest(stack.base, PREPROCESSING_NAME, manifests[0].preprocessing)
    digests = [sha256_file(layer.directory / MANIFEST_NAME) for layer in stack.layers]
    for depth in range(1, len(manifests)):
        _check_pins(stack.layers[depth], manifests[depth], manifests[0], tuple(digests[:depth]))
    return manifests


def _check_pins(
    layer: LayerDirectory, manifest: Manifest, base: Manifest, below: tuple[str, ...]
) -> None:
    if manifest.kind != "lora":
        raise _refused(layer, "is a second base")
    if manifest.base_weights != base.weights:
        raise _refused(layer, "was made for another base")
    if manifest.preprocessing != base.preprocessing:
        raise _refused(layer, "was made for another preprocessing")
    if manifest.below != below:
        raise _refused(layer, "was made on top of other layers")
    if manifest.embedding_size != base.embedding_size:
        raise _refused(layer, "has a head of another width than the base's embedding")
    unknown = sorted(set(manifest.modules) - set(base.modules))
    if unknown:
        raise _refused(layer, f"changes {unknown[0]}, which this base does not let layers change")
    _require_digest(layer, ADAPTER_NAME, manifest.weights)


def _require_digest(layer: LayerDirectory, name: str, digest: str) -> None:
    path = layer.directory / name
    if not path.is_file() or sha256_file(path) != digest:
        raise _refused(layer, f"does not hold the {name} that its {MANIFEST_NAME} names")


def _refused(layer: LayerDirectory, reason: str) -> LayerRefused:
    return LayerRefused(
        f"The layer {layer.name} {reason}.", next_step="Build it again from the stack it goes on."
    )


def check_engine(layer: LayerDirectory, manifest: Manifest, version: str) -> None:
    """Refuse a layer that says it does not run on this version of ONNX Runtime.

    Raises:
        LayerRefused: it does not.
    """
    allowed = manifest.onnxruntime
    if not allowed.holds(version):
        low, high = (".".join(map(str, pair)) for pair in (allowed.at_least, allowed.below))
        raise LayerRefused(
            f"The layer {layer.name} runs on ONNX Runtime {low} up to {high}; this is {version}.",
            next_step="Install a version in that range, or build the layer again.",
        )
