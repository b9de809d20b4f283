"""A text layer in the form of a target. Heavy.

`gguf-f16`, `gguf-q8_0` and `gguf-q4_0`: a base becomes one GGUF file with its tokenizer and chat
template inside, its weights kept as the target says; an adapter becomes a LoRA GGUF, which is laid
over a base of any of these forms, so it is the same in all three.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dizuo.artifacts.model import LayerFile, StackFiles
from dizuo.core.errors import InvalidInput
from dizuo.core.files import write_json
from dizuo.core.progress import Progress, Reporter
from dizuo.families.golden import GOLDEN_NAME
from dizuo.families.text import calibration
from dizuo.families.text.gguf_adapter import write_adapter
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.gguf_writing import Quantisation
from dizuo.families.text.layer import (
    ADAPTER_GGUF_NAME,
    ADAPTER_NAME,
    CONFIG_NAME,
    FILE_ROLES,
    GGUF_FACTS_NAME,
    MANIFEST_NAME,
    MODEL_GGUF_NAME,
    SCHEMA_NAME,
    GgufFacts,
    Manifest,
    read_stack,
)

_QUANTISATIONS: dict[str, Quantisation] = {
    "gguf-f16": "f16",
    "gguf-q8_0": "q8_0",
    "gguf-q4_0": "q4_0",
}
_LIGHT_FILES = (MANIFEST_NAME, SCHEMA_NAME, calibration.FILE_NAME, GOLDEN_NAME)


def export(stack: StackFiles, target: str, output: Path, report: Reporter) -> tuple[LayerFile, ...]:
    """The files of the stack's own layer in `target`'s form.

    Raises:
        InvalidInput: the family has no such target.
        LayerRefused: the stack's layers do not fit each other.
        ModelRefused: llama.cpp does not run such a base.
    """
    if target not in _QUANTISATIONS:
        raise InvalidInput(
            f"The text family cannot export to {target!r}.",
            next_step=f"Its targets: {', '.join(_QUANTISATIONS)}.",
        )
    own = read_stack(stack)[-1]
    if len(stack.layers) == 1:
        weights, kept_as = MODEL_GGUF_NAME, _QUANTISATIONS[target]
        write_base(stack.base.directory, output / weights, kept_as, report)
    else:
        weights, kept_as = ADAPTER_GGUF_NAME, own.adapter_dtype
        _export_adapter(stack, own, output / weights, report)
    facts = GgufFacts(weights=own.weights, kept_as=kept_as)
    write_json(output / GGUF_FACTS_NAME, facts.model_dump())
    names = [weights, GGUF_FACTS_NAME]
    for name in _LIGHT_FILES:
        if (stack.top.directory / name).is_file():
            shutil.copyfile(stack.top.directory / name, output / name)
            names.append(name)
    return tuple(LayerFile(name, output / name, FILE_ROLES[name]) for name in names)


def _export_adapter(
    stack: StackFiles, manifest: Manifest, destination: Path, report: Reporter
) -> None:
    report(Progress("export", 0, 1, "adapter", "writing the LoRA GGUF"))
    config = json.loads((stack.base.directory / CONFIG_NAME).read_bytes())
    trained = stack.top.directory / ADAPTER_NAME
    write_adapter(trained, config, destination, manifest.adapter_dtype)
    report(Progress("export", 1, 1, "adapter"))
