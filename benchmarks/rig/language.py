"""Language models of real sizes with random weights, and layers on them: real files throughout.

Bytes, memory and time do not depend on what the weights say, so nothing needs to be downloaded. The
tokens that end an answer have a zero row in the embedding, which is also the output's weight, so
that at temperature 0 every answer has the length that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
import torch
from tokenizers import Tokenizer

from dizuo.artifacts.model import LayerDirectory, LayerFile, Level, StackFiles
from dizuo.core.digests import sha256_bytes, sha256_file
from dizuo.core.progress import silent
from dizuo.demo.hotline.cities import DESKS
from dizuo.demo.hotline.copying import base_rows
from dizuo.demo.hotline.tickets import Mix, ticket_rows
from dizuo.families.base import Row
from dizuo.families.golden import GOLDEN_NAME, MAX_GOLDEN_ROWS, ExpectedAnswer, write_golden
from dizuo.families.text import calibration, export, spec
from dizuo.families.text.adapter import Adapter, LoraPair
from dizuo.families.text.calibration import Evidence
from dizuo.families.text.layer import (
    MANIFEST_NAME,
    Answering,
    Manifest,
    read_manifest,
    write_manifest,
)
from dizuo.families.text.making import (
    Below,
    base_manifest,
    layer_files,
    write_adapter_layer,
    write_base_files,
)
from dizuo.families.text.network import merged_model, new_model, qwen3_config, read_config
from dizuo.families.text.recipe import Qwen3Architecture
from dizuo.families.text.slots import SLOT_TOKENS
from dizuo.families.text.tokenizer import CHAT_TEMPLATE, learn_tokenizer, tokenizer_config
from dizuo.families.text.tokens import Tokens, read_tokens, tokens_of

TARGET = "gguf-q4_0"
AdapterType = Literal["f16", "q8_0"]

_LORA_SHARE = 0.02
_NUM_LEARNED_TEXTS = 4000
_NUM_EVIDENCE = 64
_MAX_TOKENS = 64

ARCHITECTURES: Mapping[str, Mapping[str, int]] = {
    "qwen3-0.5b": {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 2048,
        "vocab_size": 16384,
    },
    "qwen3-0.1b": {
        "hidden_size": 768,
        "intermediate_size": 2304,
        "num_hidden_layers": 14,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 2048,
        "vocab_size": 16384,
    },
    "qwen3-toy": {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 512,
        "vocab_size": 1024,
    },
}
"""The blocks of `qwen3-0.5b` are those of Qwen3-0.6B; its vocabulary is smaller. `qwen3-toy` shows
in seconds that a measurement runs; its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Built:
    """A stack as it is trained and in TARGET, and its own layer's files in each of the two."""

    trained: StackFiles
    exported: StackFiles
    files: Mapping[str, tuple[LayerFile, ...]]

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Of every layer, base first."""
        return tuple(read_manifest(layer.directory) for layer in self.trained.layers)

    @property
    def below(self) -> Below:
        """What a layer on this stack is laid on."""
        digests = [sha256_file(one.directory / MANIFEST_NAME) for one in self.trained.layers]
        return Below(self.manifests[0], tuple(digests))


def tickets(num_rows: int, seed: int = 1) -> list[Row]:
    """Tickets of the demo's hotline in Harbin; the same seed makes the same ones."""
    return list(ticket_rows(Mix(DESKS["harbin"]), num_rows, seed))


@cache
def _tokenizer(vocab_size: int) -> Tokenizer:
    rows = [*base_rows(_NUM_LEARNED_TEXTS, seed=1), *tickets(_NUM_LEARNED_TEXTS)]
    return learn_tokenizer([str(row["prompt"]) for row in rows], vocab_size)


def build_base(architecture: str, folder: Path) -> Built:
    """A base with random weights, saved as the tuner saves one from scratch, then exported."""
    chosen = Qwen3Architecture(type="qwen3", **ARCHITECTURES[architecture])
    tokenizer = _tokenizer(chosen.vocab_size)
    settings = tokenizer_config(chosen.max_position_embeddings)
    tokens = tokens_of(tokenizer, CHAT_TEMPLATE, settings)
    config = qwen3_config(chosen, eos=tokens.end_of_turn, pad=tokens.end_of_text)
    torch.manual_seed(0)
    model = new_model(config)
    with torch.no_grad():
        model.get_input_embeddings().weight[sorted(tokens.stops)] = 0
    return _saved(model, config, (tokenizer, tokens), folder)


def write_merged(stack: Built, folder: Path) -> Built:
    """The other side: the whole stack as one base, its layers merged into the weights in fp32."""
    base = stack.trained.base.directory
    model, _ = merged_model(stack.trained)
    config, _ = read_config(base)
    tokens = read_tokens(base)
    return _saved(model, config, (tokens.tokenizer.backend_tokenizer, tokens), folder)


def _saved(
    model: Any, config: Mapping[str, Any], reading: tuple[Tokenizer, Tokens], folder: Path
) -> Built:
    output = folder / "safetensors"
    output.mkdir(parents=True)
    write_base_files(model, config, *reading, output)
    _, architecture = read_config(output)
    answering = Answering(max_tokens=_MAX_TOKENS)
    write_manifest(output, base_manifest(architecture, answering, output))
    _write_evidence(architecture.hidden_size, output, _seed(folder))
    return _built(LayerDirectory(Level.L0, folder.name, output), None)


def random_layer(
    below: Built, level: Level, rank: int, folder: Path, dtype: AdapterType = "f16"
) -> Built:
    """A layer of random numbers in the real format, on every linear weight of the blocks."""
    output = folder / "safetensors"
    output.mkdir(parents=True)
    random = np.random.default_rng(_seed(folder))
    adapter = _random_adapter(below, rank, random)
    answering = Answering(max_tokens=_MAX_TOKENS)
    manifest = write_adapter_layer(
        adapter, below.below, answering, output, schema=None, adapter_dtype=dtype
    )
    write_manifest(output, manifest)
    _write_evidence(manifest.hidden_size, output, _seed(folder))
    return _built(LayerDirectory(level, folder.name, output), below)


def _seed(folder: Path) -> int:
    """Another one for each layer's name, so that no two layers share a file."""
    return crc32(folder.name.encode())


def _random_adapter(below: Built, rank: int, random: np.random.Generator) -> Adapter:
    _, architecture = read_config(below.trained.base.directory)
    pairs = {}
    for module, (outputs, inputs) in architecture.linear_modules().items():
        a = random.standard_normal((rank, inputs), dtype=np.float32) / np.sqrt(inputs)
        b = random.standard_normal((outputs, rank), dtype=np.float32) * _LORA_SHARE
        pairs[module] = LoraPair(a.astype("f4"), b.astype("f4"))
    return pairs


def _write_evidence(size: int, output: Path, seed: int) -> None:
    """A calibration as if of held-out rows, and a golden set of tickets; both of their real size,
    the answers being those of the tickets."""
    random = np.random.default_rng(seed)
    embeddings = random.standard_normal((_NUM_EVIDENCE, size))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    figures = -random.random((_NUM_EVIDENCE, 3)).astype("f4")
    right = np.zeros(_NUM_EVIDENCE, dtype=np.bool_)
    evidence = Evidence(figures, right, embeddings.astype("f4"))
    calibration.fit_unlabelled(evidence, output / calibration.FILE_NAME)
    golden = [
        ExpectedAnswer(request=spec.request([row]), answer=row["label"], confidence=0.5)
        for row in tickets(MAX_GOLDEN_ROWS, seed)
    ]
    write_golden(output / GOLDEN_NAME, golden)


def _built(layer: LayerDirectory, below: Built | None) -> Built:
    """Export a layer that lies in `folder/safetensors` to `folder/TARGET`."""
    trained = _stack("safetensors", layer, below.trained if below else None)
    folder = layer.directory.parent / TARGET
    folder.mkdir()
    exported = export.export(trained, TARGET, folder, silent)
    at_sites = LayerDirectory(layer.level, layer.name, folder)
    stack = _stack(TARGET, at_sites, below.exported if below else None)
    return Built(trained, stack, {"safetensors": layer_files(layer.directory), TARGET: exported})


def _stack(target: str, layer: LayerDirectory, below: StackFiles | None) -> StackFiles:
    layers = (*(below.layers if below else ()), layer)
    return StackFiles(layer.name, 1, sha256_bytes(layer.name.encode()), target, layers)


def chats(names: Sequence[str], num: int, num_tokens: int) -> list[dict[str, Any]]:
    """Requests of OpenAI's protocol about tickets, of the named models in turn, each answer
    `num_tokens` long."""
    return [
        {
            "model": names[number % len(names)],
            "messages": [{"role": "user", "content": str(row["prompt"])}],
            "temperature": 0,
            "max_tokens": num_tokens,
        }
        for number, row in enumerate(tickets(num))
    ]


def context_tokens(architecture: str) -> int:
    """What the engine lets an answer of this base and its prompt take together."""
    return min(ARCHITECTURES[architecture]["max_position_embeddings"], SLOT_TOKENS)
