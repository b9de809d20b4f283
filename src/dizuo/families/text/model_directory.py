"""What a Hugging Face causal language model's folder holds, told from its headers. Light.

Only JSON, the chat template and the headers of safetensors files are read. Pickled weights are
never opened, and no code that comes with a model is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_architecture import Architecture, read_architecture
from dizuo.families.text.gguf_tokenizer import Vocabulary, read_vocabulary
from dizuo.families.text.layer import CHAT_TEMPLATE_NAME, CONFIG_NAME
from dizuo.families.text.weight_files import check_tensors, open_tensors, weight_files

_ADAPTER_NAME = "adapter_config.json"
"""PEFT's."""
_MAX_CONFIG_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A folder that can become a base, and that llama.cpp can run: its configuration, the
    architecture and vocabulary that it describes, its chat template, and its weight files."""

    path: Path
    config: Mapping[str, Any]
    architecture: Architecture
    vocabulary: Vocabulary
    chat_template: str
    weights: tuple[Path, ...]


def read_directory(path: Path) -> ModelDirectory:
    """Read and check a folder.

    Raises:
        ModelRefused: it cannot become a base; says why and what to do.
    """
    if not path.is_dir():
        raise ModelRefused(f"{path} is not a folder.", next_step="Give the folder of a model.")
    config = read_config(path)
    architecture = read_architecture(config)
    weights = weight_files(path)
    with open_tensors(path, "numpy") as tensors:
        check_tensors(tensors, architecture)
    vocabulary = _vocabulary(path, config, architecture)
    if vocabulary.chat_template is None:
        raise ModelRefused(
            "The model has no chat template, so it cannot be asked by chat.",
            next_step=f"Import its instruction-tuned version, or add a {CHAT_TEMPLATE_NAME}.",
        )
    return ModelDirectory(
        path=path,
        config=config,
        architecture=architecture,
        vocabulary=vocabulary,
        chat_template=vocabulary.chat_template,
        weights=weights,
    )


def read_config(directory: Path) -> dict[str, Any]:
    """The `config.json` of a model's folder.

    Raises:
        ModelRefused: there is none, or it is no JSON object.
    """
    path = directory / CONFIG_NAME
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ValueError
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if (directory / _ADAPTER_NAME).is_file():
            raise ModelRefused(
                f"The folder holds an adapter ({_ADAPTER_NAME}), not a whole model.",
                next_step="Merge it into its base with PEFT's merge_and_unload, and import that.",
            ) from error
        raise ModelRefused(
            f"There is no {CONFIG_NAME} in the model's folder.",
            next_step="Give a folder that save_pretrained or a model hub has written.",
        ) from error
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ModelRefused(f"{CONFIG_NAME} is not a JSON object.", next_step="Fetch it again.")
    return value


def _vocabulary(path: Path, config: Mapping[str, Any], architecture: Architecture) -> Vocabulary:
    try:
        found = read_vocabulary(path, config, architecture.vocab_size)
        for text in (*found.tokens, found.chat_template or ""):
            text.encode()
    except UnicodeError as error:
        raise ModelRefused(
            "The model's tokenizer or chat template is not valid Unicode.",
            next_step="Fetch the model again.",
        ) from error
    return found
