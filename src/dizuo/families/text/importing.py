"""Bringing an open language model in as a base. Light, but `import_model` is heavy.

A folder as `save_pretrained` writes it (Llama, Qwen2, Qwen3; safetensors, in shards too) becomes a
layer in the `safetensors` target; its weights stay as they are. A folder with one GGUF file and no
safetensors becomes one in the target `gguf`, to be served only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dizuo.core.files import write_atomic, write_json
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import TunedLayer
from dizuo.families.errors import LayerRefused, ModelRefused
from dizuo.families.text import gguf_importing
from dizuo.families.text.generated_prompts import MAX_TOKENS, PROMPTS
from dizuo.families.text.gguf_architecture import read_architecture
from dizuo.families.text.layer import (
    CHAT_TEMPLATE_NAME,
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    TOKENIZER_CONFIG_NAME,
    TOKENIZER_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    Answering,
    write_manifest,
)
from dizuo.families.text.model_directory import ModelDirectory, read_config, read_directory
from dizuo.families.text.recipe import AnswerTask, check_import_task
from dizuo.families.text.weight_files import keep_file, open_tensors

if TYPE_CHECKING:
    from dizuo.families.text.examination import Examination
    from dizuo.families.text.tokens import Tokens

FILES: tuple[str, ...] = (
    "*.safetensors",
    WEIGHTS_INDEX_NAME,
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    TOKENIZER_NAME,
    TOKENIZER_CONFIG_NAME,
    CHAT_TEMPLATE_NAME,
)
HEADS: Mapping[str, int] = {".gguf": 64 * 2**20}
"""More than the header of a GGUF takes, which does not say how long it is: 250,000 tokens and their
merges are about 10 MiB."""

_KEPT_TO_OURSELVES = ("_name_or_path", "auto_map", "transformers_version", "_from_model_config")
_NUMBER_BYTES = 4
_NUMBERS_AT_ONCE = 16 * 1024 * 1024
_ASKED_TOKENS = 128
"""A bound of a generated prompt with its answer, for the estimate of memory."""


def check_config(directory: Path) -> dict[str, Any]:
    """Refuse an architecture that llama.cpp does not have, by `config.json` alone.

    Raises:
        ModelRefused: it is one; says which there are.
    """
    found = read_architecture(read_config(directory))
    return {"architecture": found.name, "context_length": found.context_length}


def check_task(task: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """See that a model can be asked as it is wanted: `context_tokens` may be said, up to what the
    model reads.

    Raises:
        InvalidInput: it cannot; says why.
    """
    check_import_task(task, found.get("context_length"))


def inspect(directory: Path) -> dict[str, Any]:
    """What the directory holds, from headers.

    Raises:
        ModelRefused: it cannot become a layer; says why and what to do.
    """
    if (file := gguf_importing.gguf_file(directory)) is not None:
        return gguf_importing.inspect_file(file)
    found = read_directory(directory)
    architecture = found.architecture
    return {
        "architecture": architecture.name,
        "class": architecture.class_name,
        "num_parameters": found.architecture.num_parameters,
        "context_length": architecture.context_length,
        "vocabulary_size": architecture.vocab_size,
        "weights": [path.name for path in found.weights],
    }


def import_model(
    directory: Path,
    output: Path,
    report: Reporter,
    *,
    task: Mapping[str, Any] = MappingProxyType({}),
) -> TunedLayer:
    """The model as an L0 layer in the `safetensors` target, or a GGUF file in the target `gguf`.

    No data comes with a model, so its confidence is that of its tokens, and its golden set and
    percentiles are of generated prompts; a layer tuned on it is calibrated on data.

    Raises:
        ModelRefused: as `inspect`; or it does not fit into memory, or does not answer.
        InvalidInput: as `check_task`.
    """
    if (file := gguf_importing.gguf_file(directory)) is not None:
        return gguf_importing.import_file(file, output, report, task)
    return _import_directory(read_directory(directory), output, report, task)


def _import_directory(
    found: ModelDirectory, output: Path, report: Reporter, task: Mapping[str, Any]
) -> TunedLayer:
    # PyTorch and Transformers take seconds to import, and `inspect` answers without them.
    from dizuo.families.text.examination import Subject, examine
    from dizuo.families.text.making import base_manifest, layer_files
    from dizuo.families.text.tokens import read_tokens

    check_import_task(task, found.architecture.context_length)
    _require_memory(found)
    report(Progress("import", 0, 2, message="reading the weights"))
    _check_finite(found)
    _write_files(found, output)
    manifest = base_manifest(found.architecture, Answering(**task), output)
    report(Progress("import", 1, 2, message="asking it generated prompts"))
    with _refusing():
        tokens = read_tokens(output)
        planned = _examination(tokens, manifest.window)
        subject = Subject(output, manifest, (), tokens)
        scores = examine(planned, subject, output, report, lambda: False)
    write_manifest(output, manifest)
    report(Progress("import", 2, 2))
    num_parameters = float(found.architecture.num_parameters)
    return TunedLayer(layer_files(output), {"num_parameters": num_parameters, **scores})


def _require_memory(found: ModelDirectory) -> None:
    """Refuse a model that would not fit, before it is loaded in single precision and asked."""
    from dizuo.families.text.memory import free_bytes

    architecture = found.architecture
    per_token = (
        2 * architecture.num_layers * architecture.num_key_value_heads * architecture.head_size
        + 8 * architecture.hidden_size
        + 4 * architecture.intermediate_size
    )
    asked = len(PROMPTS) * (3 * architecture.vocab_size + _ASKED_TOKENS * per_token)
    needed = _NUMBER_BYTES * (found.architecture.num_parameters + asked)
    available = free_bytes()
    if needed > available:
        raise ModelRefused(
            f"Importing this model takes about {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB are free here.",
            next_step="Import it on a machine with more memory, or take a smaller model.",
        )


def _check_finite(found: ModelDirectory) -> None:
    with open_tensors(found.path) as tensors:
        for name in found.architecture.shapes():
            rows, *rest = tensors.shape(name)
            at_once = max(1, _NUMBERS_AT_ONCE // (rest[0] if rest else 1))
            for start in range(0, rows, at_once):
                piece = tensors.rows(name, start, min(start + at_once, rows))
                if not bool(piece.isfinite().all()):
                    raise ModelRefused(
                        f"The model's weights hold numbers in {name} that are not finite.",
                        next_step="Fetch the model again: its weights are damaged.",
                    )


def _write_files(found: ModelDirectory, output: Path) -> None:
    """The base's files: weights and tokenizer as they are, the rest without what names others."""
    write_json(output / CONFIG_NAME, _cleaned(found.config))
    write_json(output / GENERATION_CONFIG_NAME, _generation(found))
    write_json(output / TOKENIZER_CONFIG_NAME, _tokenizer_settings(found))
    write_atomic(output / CHAT_TEMPLATE_NAME, found.chat_template.encode())
    keep_file(found.path / TOKENIZER_NAME, output / TOKENIZER_NAME)
    for weights in found.weights:
        keep_file(weights, output / weights.name)
    if [path.name for path in found.weights] != [WEIGHTS_NAME]:
        keep_file(found.path / WEIGHTS_INDEX_NAME, output / WEIGHTS_INDEX_NAME)


def _cleaned(settings: Any) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _KEPT_TO_OURSELVES}


def _read(found: ModelDirectory, name: str) -> dict[str, Any]:
    """A JSON file that was checked with the vocabulary; nothing where there is none."""
    path = found.path / name
    value: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return _cleaned(value)


def _generation(found: ModelDirectory) -> dict[str, Any]:
    """`generation_config.json`; the ends of an answer are always in it."""
    settings = _read(found, GENERATION_CONFIG_NAME)
    if settings.get("eos_token_id") is None:
        named = found.config.get("eos_token_id")
        settings["eos_token_id"] = found.vocabulary.special["eos"] if named is None else named
    return settings


def _tokenizer_settings(found: ModelDirectory) -> dict[str, Any]:
    """`tokenizer_config.json` without the chat template, which has a file of its own, and with the
    token that ends an answer, which some models name in `config.json` alone."""
    settings = _read(found, TOKENIZER_CONFIG_NAME)
    settings.pop("chat_template", None)
    if not settings.get("eos_token"):
        settings["eos_token"] = found.vocabulary.tokens[found.vocabulary.special["eos"]]
    return settings


def _examination(tokens: Tokens, window: int) -> Examination:
    from dizuo.families.text.examination import Examination
    from dizuo.families.text.lessons import Reading

    reading = Reading(tokens, AnswerTask(kind="answer"), window)
    rows = [{"prompt": prompt} for prompt in PROMPTS]
    questions = reading.questions(rows, len(rows), window)
    if not questions:
        raise ModelRefused(
            f"The model reads {window} tokens at once, too few for any question.",
            next_step="Import a model with a longer context.",
        )
    return Examination(
        questions=tuple(questions),
        num_held_out=len(questions),
        learned=(),
        answered=False,
        window=window,
        max_tokens=MAX_TOKENS,
    )


@contextmanager
def _refusing() -> Iterator[None]:
    """What makes a layer unusable makes the model so."""
    try:
        yield
    except LayerRefused as error:
        raise ModelRefused(error.message, next_step=error.next_step) from error
