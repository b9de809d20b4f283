"""An existing GGUF file as a base for serving. `inspect_file` is light, `import_file` heavy.

The file stays as it is, whatever its architecture and quantisation. Nothing can be trained on it,
so it is a layer in one target of its own. Its tokenizer and chat template lie inside it, so the
digest of the file pins them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dizuo.core import memory
from dizuo.core.digests import sha256_file
from dizuo.core.errors import DizuoError
from dizuo.core.files import write_json
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import TunedLayer
from dizuo.families.errors import ContextOverflow, ModelRefused
from dizuo.families.golden import (
    GOLDEN_NAME,
    MAX_GOLDEN_ROWS,
    TRAINED_ANSWERS_NAME,
    TrainedAnswer,
    write_golden,
    write_trained_answers,
)
from dizuo.families.quantiles import Floats
from dizuo.families.text import calibration, footprint, layer, slots
from dizuo.families.text.calibration import Evidence, figures
from dizuo.families.text.generated_prompts import MAX_TOKENS, PROMPTS, request_for
from dizuo.families.text.gguf_facts import GgufFacts, inspect_gguf
from dizuo.families.text.llama import Llama, Manner
from dizuo.families.text.messages import answer_of
from dizuo.families.text.protocol import batch_of
from dizuo.families.text.recipe import check_import_task
from dizuo.families.text.slots import SLOT_TOKENS
from dizuo.families.text.weight_files import keep_file
from dizuo.families.text.written import Written

TARGET = "gguf"
"""Not one of the spec's, so that no recipe can ask for it."""
_CONFIDENCE_DIGITS = 6


def gguf_file(directory: Path) -> Path | None:
    """The GGUF file in a folder without safetensors files, if that is what it holds.

    Raises:
        ModelRefused: there are several.
    """
    files = sorted(directory.glob("*.gguf"))
    if not files or any(directory.glob("*.safetensors")):
        return None
    if len(files) > 1:
        raise ModelRefused(
            f"The folder holds {len(files)} GGUF files.", next_step="Import one of them."
        )
    return files[0]


def inspect_file(path: Path) -> dict[str, Any]:
    """What a file holds, from its header.

    Raises:
        ModelRefused: it cannot become a base; says why and what to do.
    """
    facts = _facts(path)
    return {
        "architecture": facts.architecture,
        "num_parameters": facts.num_parameters,
        "context_length": facts.context_length,
        "vocabulary_size": facts.vocabulary_size,
        "weights": [path.name],
        "tensor_types": dict(facts.tensor_types),
        "target": TARGET,
    }


def _facts(path: Path) -> GgufFacts:
    facts = inspect_gguf(path)
    if not facts.has_chat_template:
        raise ModelRefused(
            f"{path.name} has no chat template, so it cannot be asked by chat.",
            next_step="Take the file of its instruction-tuned version.",
        )
    return facts


def import_file(path: Path, output: Path, report: Reporter, task: Mapping[str, Any]) -> TunedLayer:
    """The file as an L0 layer in the target `gguf`.

    Its golden set, percentiles and confidence are what llama.cpp answers to generated prompts,
    which are short: no more than SLOT_TOKENS are read at once for them.

    Raises:
        ModelRefused: as `inspect_file`; or it does not fit into memory, or does not answer.
        InvalidInput: the task is not one for this file, see `importing.check_task`.
    """
    import torch

    from dizuo.families.text.making import layer_files

    facts = _facts(path)
    check_import_task(task, facts.context_length)
    answering = layer.Answering(**task)
    window = min(slots.window(answering.context_tokens, facts.context_length), SLOT_TOKENS)
    _require_memory(path, window)
    report(Progress("import", 0, 2, message="opening the file"))
    keep_file(path, output / layer.MODEL_GGUF_NAME)
    try:
        llama = Llama(
            output / layer.MODEL_GGUF_NAME,
            (),
            context_tokens=window,
            threads=torch.get_num_threads(),
        )
        asked = _ask(llama, report)
    except ModelRefused:
        raise
    except DizuoError as error:
        raise ModelRefused(
            f"llama.cpp cannot run {path.name}: {error.message}",
            next_step="Fetch the file again, or one that this version of llama.cpp knows.",
        ) from error
    _write_answers(llama, asked, output)
    _write_manifest(facts, llama.embedding_size, answering, output)
    metrics = {"num_parameters": float(facts.num_parameters), "num_asked": float(len(asked))}
    return TunedLayer(layer_files(output), metrics, TARGET)


def _require_memory(path: Path, window: int) -> None:
    needed, available = footprint.opening_bytes(path, window), memory.free_bytes()
    if needed > available:
        raise ModelRefused(
            f"Running {path.name} takes about {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB are free here.",
            next_step="Import it on a machine with more memory, or take a smaller file.",
        )


def _ask(llama: Llama, report: Reporter) -> dict[str, Written]:
    """What it answers to each prompt that it can read at once."""
    manner = Manner(frozenset(), MAX_TOKENS)
    found: dict[str, Written] = {}
    for number, prompt in enumerate(PROMPTS):
        report(Progress("examine", number, len(PROMPTS), unit="row"))
        (ask,) = batch_of(request_for(prompt))
        try:
            found[prompt] = llama.write(ask, manner, lambda _piece: True)
        except ContextOverflow:
            continue
    report(Progress("examine", len(PROMPTS), len(PROMPTS), unit="row"))
    if not found:
        raise ModelRefused(
            f"The model reads {llama.slot_tokens} tokens at once, too few for any question.",
            next_step="Import a model with a longer context.",
        )
    return found


def _write_answers(llama: Llama, asked: dict[str, Written], output: Path) -> None:
    seen: Floats = np.stack([figures(written.tokens) for written in asked.values()])
    embeddings: Floats = np.stack([llama.embed(prompt) for prompt in asked])
    if not (np.isfinite(seen).all() and np.isfinite(embeddings).all()):
        raise ModelRefused(
            "The model answers with values that are not finite numbers.",
            next_step="Fetch the file again: its weights are damaged.",
        )
    unknown = np.zeros(len(asked), dtype=np.bool_)
    path = output / calibration.FILE_NAME
    fitted = calibration.fit_unlabelled(Evidence(seen, unknown, embeddings), path)
    rows = [
        TrainedAnswer(
            request=request_for(prompt),
            answer=answer_of(written.text),
            confidence=round(min(float(sure), 1.0), _CONFIDENCE_DIGITS),
        )
        for (prompt, written), sure in zip(asked.items(), fitted.confidences(seen), strict=True)
    ]
    write_golden(output / GOLDEN_NAME, [row.golden() for row in rows[:MAX_GOLDEN_ROWS]])
    write_trained_answers(output / TRAINED_ANSWERS_NAME, rows)


def _write_manifest(
    facts: GgufFacts, embedding_size: int, answering: layer.Answering, output: Path
) -> None:
    digest = sha256_file(output / layer.MODEL_GGUF_NAME)
    kept_as = max(facts.tensor_types, key=lambda kind: facts.tensor_types[kind]).lower()
    described = layer.GgufFacts(weights=digest, kept_as=kept_as)
    write_json(output / layer.GGUF_FACTS_NAME, described.model_dump())
    manifest = layer.Manifest(
        kind="base",
        architecture=facts.architecture,
        hidden_size=embedding_size,
        vocab_size=facts.vocabulary_size,
        context_length=facts.context_length,
        modules=(),
        weights=digest,
        base_weights=digest,
        tokenizer=digest,
        chat_template=digest,
        answering=answering,
    )
    layer.write_manifest(output, manifest)
