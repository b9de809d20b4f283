"""`layer.json`: what a text layer is, and what it was made for. Light.

A base carries `config.json`, the tokenizer's files and, by target, `model.safetensors` (or shards)
or `model.gguf`; an adapter carries `adapter.safetensors` or `adapter.gguf`. `layer.json` is the
same in every target. It names the digest of the trained weights; an adapter also pins its base,
the tokenizer, the chat template, and the `layer.json` of every layer below it, so the chain of pins
covers every weight of the stack. In a GGUF target `gguf.json` says which weights the file was made
from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dizuo.artifacts.model import FileRole, LayerDirectory, StackFiles
from dizuo.core.digests import sha256_file
from dizuo.core.files import write_json
from dizuo.families.errors import LayerRefused
from dizuo.families.golden import GOLDEN_NAME, TRAINED_ANSWERS_NAME
from dizuo.families.text import calibration, slots
from dizuo.families.text.schema import by_name

MANIFEST_NAME = "layer.json"
CONFIG_NAME = "config.json"
GENERATION_CONFIG_NAME = "generation_config.json"
WEIGHTS_NAME = "model.safetensors"
WEIGHTS_INDEX_NAME = "model.safetensors.index.json"
TOKENIZER_NAME = "tokenizer.json"
TOKENIZER_CONFIG_NAME = "tokenizer_config.json"
CHAT_TEMPLATE_NAME = "chat_template.jinja"
ADAPTER_NAME = "adapter.safetensors"
SCHEMA_NAME = "schema.json"
MODEL_GGUF_NAME = "model.gguf"
ADAPTER_GGUF_NAME = "adapter.gguf"
GGUF_FACTS_NAME = "gguf.json"
ADAPTER_FORMAT: Literal["lora-f16-1"] = "lora-f16-1"

FILE_ROLES: Mapping[str, FileRole] = {
    MANIFEST_NAME: FileRole.CONFIG,
    CONFIG_NAME: FileRole.CONFIG,
    GENERATION_CONFIG_NAME: FileRole.CONFIG,
    WEIGHTS_INDEX_NAME: FileRole.CONFIG,
    GGUF_FACTS_NAME: FileRole.CONFIG,
    TOKENIZER_NAME: FileRole.TOKENIZER,
    TOKENIZER_CONFIG_NAME: FileRole.TOKENIZER,
    CHAT_TEMPLATE_NAME: FileRole.PREPROCESSING,
    SCHEMA_NAME: FileRole.SCHEMA,
    WEIGHTS_NAME: FileRole.WEIGHTS,
    ADAPTER_NAME: FileRole.WEIGHTS,
    MODEL_GGUF_NAME: FileRole.WEIGHTS,
    ADAPTER_GGUF_NAME: FileRole.WEIGHTS,
    calibration.FILE_NAME: FileRole.CALIBRATION,
    GOLDEN_NAME: FileRole.GOLDEN,
    TRAINED_ANSWERS_NAME: FileRole.TRAINED_ANSWERS,
}
"""Shards of a base beside `model.safetensors` are weights too."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineRange(_Part):
    """The xllamacpp versions, by year and month, a layer runs on: from `at_least` up to, not
    including, `below`."""

    at_least: tuple[int, int] = (2026, 1)
    below: tuple[int, int] = (2028, 1)

    def holds(self, version: str) -> bool:
        """Whether a version such as `2026.10.11549` lies in the range."""
        year, month = (int(part) for part in version.split(".")[:2])
        return self.at_least <= (year, month) < self.below


class Answering(_Part):
    """How a layer answers: its task, the system message it was tuned with, and its limits: tokens
    of an answer, and of prompt and answer together."""

    kind: Literal["answer", "extract"] = "answer"
    system: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] = 256
    context_tokens: Annotated[int, Field(ge=1)] = slots.SLOT_TOKENS


class Manifest(_Part):
    """`layer.json`, format 1. `modules` are those an adapter may change (of a base) or does, and
    `adapter_dtype` is how it is kept in GGUF."""

    format: Literal[1] = 1
    kind: Literal["base", "lora"]
    architecture: str
    hidden_size: Annotated[int, Field(ge=1)]
    vocab_size: Annotated[int, Field(ge=1)]
    context_length: Annotated[int, Field(ge=1)]
    modules: tuple[str, ...]
    weights: Digest
    base_weights: Digest
    tokenizer: Digest
    chat_template: Digest
    answering: Answering = Answering()
    schema_: Digest | None = Field(default=None, alias="schema")
    below: tuple[Digest, ...] = ()
    adapter_format: Literal["lora-f16-1"] | None = None
    rank: Annotated[int, Field(ge=1)] | None = None
    adapter_dtype: Literal["f16", "q8_0"] = "f16"
    xllamacpp: EngineRange = EngineRange()

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def window(self) -> int:
        """How many tokens an engine that serves the layer alone reads and writes at once."""
        return slots.window(self.answering.context_tokens, self.context_length)


class GgufFacts(_Part):
    """`gguf.json`, format 1: the digest of the trained weights that the file was made from, and how
    its weights are kept."""

    format: Literal[1] = 1
    weights: Digest
    kept_as: str


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `layer.json`."""
    write_json(directory / MANIFEST_NAME, manifest.model_dump(mode="json", by_alias=True))


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


def read_gguf_facts(directory: Path) -> GgufFacts:
    """What a folder in a GGUF target says about its file.

    Raises:
        LayerRefused: it is missing, or not of a format this version knows.
    """
    try:
        return GgufFacts.model_validate_json((directory / GGUF_FACTS_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise LayerRefused(
            f"The layer in {directory.name} has no {GGUF_FACTS_NAME} that can be read.",
            next_step="Export the layer again.",
        ) from error


def read_schema(directory: Path, manifest: Manifest) -> Mapping[str, Any] | None:
    """The JSON schema that a layer's answers are held to, if it has one.

    Raises:
        LayerRefused: it is not the one that the manifest names.
    """
    if manifest.schema_ is None:
        return None
    path = directory / SCHEMA_NAME
    if not path.is_file() or sha256_file(path) != manifest.schema_:
        raise LayerRefused(
            f"The layer in {directory.name} does not hold the {SCHEMA_NAME} it names.",
            next_step="Build the layer again.",
        )
    return by_name(json.loads(path.read_bytes()))


def read_stack(stack: StackFiles) -> tuple[Manifest, ...]:
    """The manifests of a stack's layers, base first, once every pin holds.

    Raises:
        LayerRefused: a layer does not fit what lies below it; says which and why.
    """
    manifests = tuple(read_manifest(layer.directory) for layer in stack.layers)
    if manifests[0].kind != "base":
        raise _refused(stack.layers[0], "is not a base, though the stack begins with it")
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
    if manifest.tokenizer != base.tokenizer:
        raise _refused(layer, "was made for another tokenizer")
    if manifest.chat_template != base.chat_template:
        raise _refused(layer, "was made for another chat template")
    if manifest.vocab_size != base.vocab_size:
        raise _refused(layer, "has a resized vocabulary")
    if manifest.below != below:
        raise _refused(layer, "was made on top of other layers")
    unknown = sorted(set(manifest.modules) - set(base.modules))
    if unknown:
        raise _refused(layer, f"changes {unknown[0]}, which this base does not let layers change")
    trained = layer.directory / ADAPTER_NAME
    if trained.is_file() and sha256_file(trained) != manifest.weights:
        raise _refused(layer, f"does not hold the {ADAPTER_NAME} that its {MANIFEST_NAME} names")


def _refused(layer: LayerDirectory, reason: str) -> LayerRefused:
    return LayerRefused(
        f"The layer {layer.name} {reason}.", next_step="Build it again from the stack it goes on."
    )


def check_engine(layer: LayerDirectory, manifest: Manifest, version: str) -> None:
    """Refuse a layer that says it does not run on this version of xllamacpp.

    Raises:
        LayerRefused: it does not.
    """
    allowed = manifest.xllamacpp
    if not allowed.holds(version):
        low, high = (".".join(map(str, pair)) for pair in (allowed.at_least, allowed.below))
        raise LayerRefused(
            f"The layer {layer.name} runs on xllamacpp {low} up to {high}; this is {version}.",
            next_step="Install a version in that range, or build the layer again.",
        )
