"""A Hugging Face causal language model as a base, and adapters merged into it. Heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from dizuo.artifacts.model import StackFiles
from dizuo.core.digests import sha256_file, sha256_json
from dizuo.core.files import write_atomic
from dizuo.families.errors import LayerRefused
from dizuo.families.text.adapter import Adapter, LoraPair, read_adapter
from dizuo.families.text.gguf_architecture import Architecture, read_architecture
from dizuo.families.text.layer import (
    ADAPTER_NAME,
    CONFIG_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    Manifest,
    read_stack,
)
from dizuo.families.text.recipe import AdapterMethod, Qwen3Architecture

Model = Any
"""A `transformers.PreTrainedModel`; Transformers is not typed."""

_LONG_CONTEXT = 8192
_LOADING_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    SafetensorError,
    StrictDataclassError,
)
"""What Transformers raises for configurations and weights that are wrong or do not match."""


def qwen3_config(architecture: Qwen3Architecture, *, eos: int, pad: int) -> dict[str, Any]:
    """The `config.json` of a base from scratch."""
    context = architecture.max_position_embeddings
    return {
        **architecture.model_dump(exclude={"type"}),
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "dtype": "float16",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0 if context <= _LONG_CONTEXT else 1_000_000.0,
        },
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "bos_token_id": None,
        "eos_token_id": eos,
        "pad_token_id": pad,
    }


def new_model(config: Mapping[str, Any]) -> Model:
    """A model with fresh weights, from torch's generator, in single precision."""
    settings = AutoConfig.for_model(**config)
    return AutoModelForCausalLM.from_config(settings, dtype=torch.float32)


def read_config(directory: Path) -> tuple[dict[str, Any], Architecture]:
    """The configuration in a base's folder, and the architecture it describes.

    Raises:
        ModelRefused: it is none that llama.cpp also has.
    """
    config: dict[str, Any] = json.loads((directory / CONFIG_NAME).read_bytes())
    return config, read_architecture(config)


def weights_digest(directory: Path) -> str:
    """The digest of the weights in a base's folder: that of `model.safetensors`, or, of shards,
    that of the JSON object of their names and digests."""
    single = directory / WEIGHTS_NAME
    if single.is_file():
        return sha256_file(single)
    names = set(json.loads((directory / WEIGHTS_INDEX_NAME).read_bytes())["weight_map"].values())
    return sha256_json({name: sha256_file(directory / name) for name in names})


def base_model(directory: Path, manifest: Manifest) -> Model:
    """The model in a base's folder (`safetensors` target), in evaluation mode, in single precision.

    Nothing is fetched, unpickled, or run from the folder.

    Raises:
        LayerRefused: the weights are not those its manifest names, or do not fit its configuration.
    """
    try:
        found = weights_digest(directory)
    except (OSError, ValueError, KeyError, AttributeError):
        found = ""
    if found != manifest.weights:
        raise LayerRefused(
            f"The base in {directory.name} does not hold the weights that it names.",
            next_step="Fetch or build the base again.",
        )
    return _loaded(directory)


def _loaded(directory: Path) -> Model:
    transformers_logging.disable_progress_bar()
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            directory,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except _LOADING_ERRORS as error:
        raise _misfit(_first_line(error)) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading[kind]:
            raise _misfit(f"{kind.replace('_', ' ')} such as {sorted(map(str, loading[kind]))[0]}")
    model.config._name_or_path = model.name_or_path = ""  # PEFT asks the Hub about a name
    return model.eval()


def _misfit(reason: str) -> LayerRefused:
    return LayerRefused(
        f"The weights do not fit {CONFIG_NAME}: {reason}.",
        next_step=f"Use the {CONFIG_NAME} and weights of one and the same model.",
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:200]


def merge(model: Model, adapter: Adapter) -> None:
    """Add an adapter's change to the weights of a model, in place.

    Raises:
        LayerRefused: a change has another shape than the weight.
    """
    with torch.no_grad():
        for module, pair in adapter.items():
            weight = model.get_parameter(f"{module}.weight")
            if weight.shape != (pair.b.shape[0], pair.a.shape[1]):
                raise LayerRefused(
                    f"A layer gives {module} another shape than the base has.",
                    next_step="Build the layer again on this base.",
                )
            a, b = (torch.from_numpy(side).to(weight.device) for side in (pair.a, pair.b))
            weight.addmm_(b, a)


def merged_model(stack: StackFiles) -> tuple[Model, tuple[Manifest, ...]]:
    """A stack (`safetensors` target) as one model, every adapter merged in single precision.

    Raises:
        LayerRefused: a layer does not fit what lies below it.
    """
    manifests = read_stack(stack)
    model = base_model(stack.base.directory, manifests[0])
    for layer, manifest in zip(stack.layers[1:], manifests[1:], strict=True):
        merge(model, read_adapter(layer.directory / ADAPTER_NAME, manifest.modules))
    return model, manifests


def lora_config(method: AdapterMethod, modules: Sequence[str]) -> LoraConfig:
    """PEFT's settings for a fresh adapter on these modules: A random, B zero."""
    return LoraConfig(
        r=method.rank,
        lora_alpha=method.scaling * method.rank,
        lora_dropout=method.dropout,
        target_modules=list(modules),
        bias="none",
        task_type="CAUSAL_LM",
    )


def adapter_of(model: nn.Module, modules: Sequence[str], scaling: float) -> dict[str, LoraPair]:
    """The adapter that PEFT laid on these modules of a model, the scaling folded into B."""
    tensors = dict(model.named_parameters())
    pairs = {}
    for module in modules:
        a, b = (
            tensors[f"base_model.model.{module}.lora_{side}.default.weight"].detach().float().cpu()
            for side in "AB"
        )
        pairs[module] = LoraPair(a.numpy(), (b * scaling).numpy())
    return pairs


def save_weights(model: Model, path: Path) -> None:
    """Write a model's weights in half precision, tied ones once; the same weights give the same
    bytes.

    Raises:
        LayerRefused: a weight is not a finite half float.
    """
    tied = set(model.all_tied_weights_keys) if model.config.tie_word_embeddings else set()
    halves: dict[str, Tensor] = {}
    for name, tensor in sorted(model.state_dict().items()):
        if name in tied:
            continue
        halves[name] = tensor.detach().to("cpu", torch.float16).contiguous()
        if not bool(halves[name].isfinite().all()):
            raise LayerRefused(
                f"The training of {name} ended in numbers that are not finite half floats.",
                next_step="Lower method.learning_rate, and check the rows.",
            )
    write_atomic(path, save(halves, metadata={"format": "pt"}))
