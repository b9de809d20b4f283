"""Writing a layer's folder: what training and importing have in common. Heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from dizuo.artifacts.model import FileRole, LayerFile
from dizuo.core.digests import sha256_file
from dizuo.core.files import write_atomic, write_json
from dizuo.families.text.adapter import LoraPair, write_adapter
from dizuo.families.text.gguf_architecture import Architecture
from dizuo.families.text.layer import (
    ADAPTER_FORMAT,
    ADAPTER_NAME,
    CHAT_TEMPLATE_NAME,
    CONFIG_NAME,
    FILE_ROLES,
    GENERATION_CONFIG_NAME,
    SCHEMA_NAME,
    TOKENIZER_CONFIG_NAME,
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    Answering,
    Manifest,
)
from dizuo.families.text.network import Model, save_weights, weights_digest
from dizuo.families.text.recipe import AnswerTask, ExtractTask
from dizuo.families.text.tokenizer import CHAT_TEMPLATE, tokenizer_config
from dizuo.families.text.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Below:
    """What an adapter is laid on: the base's manifest, and the digests of the manifests of every
    layer below, base first."""

    base: Manifest
    digests: tuple[str, ...]


def write_base_files(
    model: Model, config: Mapping[str, Any], tokenizer: Tokenizer, tokens: Tokens, output: Path
) -> None:
    """Write a base from scratch: configuration, tokenizer, chat template, weights."""
    write_json(output / CONFIG_NAME, config)
    write_json(
        output / GENERATION_CONFIG_NAME,
        {
            "eos_token_id": [tokens.end_of_turn, tokens.end_of_text],
            "pad_token_id": tokens.end_of_text,
            "do_sample": False,
        },
    )
    write_atomic(output / TOKENIZER_NAME, tokenizer.to_str().encode())
    write_json(output / TOKENIZER_CONFIG_NAME, tokenizer_config(config["max_position_embeddings"]))
    write_atomic(output / CHAT_TEMPLATE_NAME, CHAT_TEMPLATE.encode())
    save_weights(model, output / WEIGHTS_NAME)


def base_manifest(
    architecture: Architecture, answering: Answering, output: Path, schema: str | None = None
) -> Manifest:
    """The manifest of a base whose files lie in `output`; `schema` is its schema's digest."""
    weights = weights_digest(output)
    return Manifest(
        kind="base",
        architecture=architecture.name,
        hidden_size=architecture.hidden_size,
        vocab_size=architecture.vocab_size,
        context_length=architecture.context_length,
        modules=tuple(architecture.linear_modules()),
        weights=weights,
        base_weights=weights,
        tokenizer=sha256_file(output / TOKENIZER_NAME),
        chat_template=sha256_file(output / CHAT_TEMPLATE_NAME),
        answering=answering,
        schema=schema,
    )


def write_adapter_layer(
    adapter: Mapping[str, LoraPair],
    below: Below,
    answering: Answering,
    output: Path,
    *,
    schema: str | None,
    adapter_dtype: Literal["f16", "q8_0"],
) -> Manifest:
    """Write an adapter; returns its manifest, pinned to what it is laid on.

    `schema` is its schema's digest, `adapter_dtype` how GGUF targets keep it.
    """
    write_adapter(adapter, output / ADAPTER_NAME)
    return Manifest(
        kind="lora",
        architecture=below.base.architecture,
        hidden_size=below.base.hidden_size,
        vocab_size=below.base.vocab_size,
        context_length=below.base.context_length,
        modules=tuple(sorted(adapter)),
        weights=sha256_file(output / ADAPTER_NAME),
        base_weights=below.base.weights,
        tokenizer=below.base.tokenizer,
        chat_template=below.base.chat_template,
        answering=answering,
        schema=schema,
        below=below.digests,
        adapter_format=ADAPTER_FORMAT,
        rank=max(pair.rank for pair in adapter.values()),
        adapter_dtype=adapter_dtype,
    )


def answering_of(task: AnswerTask | ExtractTask) -> Answering:
    """How a layer of this task answers."""
    return Answering(
        kind=task.kind,
        system=task.system,
        max_tokens=task.max_tokens,
        context_tokens=task.context_tokens,
    )


def write_schema(task: AnswerTask | ExtractTask, output: Path) -> str | None:
    """Write the schema that answers are held to, if there is one; returns its digest."""
    if not isinstance(task, ExtractTask):
        return None
    write_json(output / SCHEMA_NAME, task.schema_)
    return sha256_file(output / SCHEMA_NAME)


def layer_files(output: Path) -> tuple[LayerFile, ...]:
    """The files of a finished layer's folder, with their roles; shards of a base are weights."""
    found = [
        LayerFile(name, output / name, role)
        for name, role in FILE_ROLES.items()
        if (output / name).is_file()
    ]
    named = {file.path for file in found}
    shards = [path for path in sorted(output.glob("*.safetensors")) if path.name not in named]
    return (*found, *(LayerFile(path.name, path, FileRole.WEIGHTS) for path in shards))
