"""A Hugging Face image classifier as three parts: preprocessing, backbone, linear head. Heavy.

The backbone is the model with its head taken out, so what reaches the head is the embedding. Both
an adapter in training and the adapter slot of an exported graph are wired in here, by PEFT.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from peft import LoraConfig, inject_adapter_in_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageClassification

from dizuo.artifacts.model import StackFiles
from dizuo.core.digests import sha256_file
from dizuo.core.files import write_atomic
from dizuo.families.errors import LayerRefused
from dizuo.families.vision.adapter import Adapter, LoraPair, read_adapter
from dizuo.families.vision.layer import (
    ADAPTER_NAME,
    CONFIG_NAME,
    WEIGHTS_NAME,
    Manifest,
    Preprocessing,
    read_preprocessing,
    read_stack,
)

_HEAD_NAMES = ("classifier",)
_BUILDING_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)
"""What Transformers and PyTorch raise where a foreign configuration makes no sense: they check few
of its numbers and names, and stumble over the rest while they build."""

_logger = logging.getLogger("dizuo.families.vision")


class Preprocess(nn.Module):
    """uint8 (n, h, w, c) to float (n, c, height, width): antialiased resize, rescale, normalise."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: Preprocessing) -> None:
        super().__init__()
        self.settings = settings
        shape = (1, settings.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(settings.mean).reshape(shape), persistent=False)
        self.register_buffer("std", torch.tensor(settings.std).reshape(shape), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        resized = F.interpolate(
            image.permute(0, 3, 1, 2).float(),
            size=(self.settings.height, self.settings.width),
            mode=self.settings.resample,
            antialias=True,
            align_corners=False,
        )
        return (resized * self.settings.rescale - self.mean) / self.std


class Network(nn.Module):
    """From uint8 pictures to embedding and logits."""

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.head_path = head_path(model)
        self.head: nn.Linear = _replace(model, self.head_path, nn.Identity())
        self.preprocess = Preprocess(preprocessing)
        self.backbone = model
        self.freezes_batch_norm = False

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (n, h, w, c) to embeddings (n, d) and logits (n, classes)."""
        embedding = self.embed(self.preprocess(image))
        return embedding, self.head(embedding)

    def embed(self, pixels: Tensor) -> Tensor:
        """Preprocessed pixels (n, c, height, width) to embeddings (n, d)."""
        embedding: Tensor = self.backbone(pixel_values=pixels).logits
        return embedding

    def train(self, mode: bool = True) -> Network:
        """Training mode, in which batch norm stays as it is if the network freezes it."""
        super().train(mode)
        if mode and self.freezes_batch_norm:
            for module in self.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    @property
    def embedding_size(self) -> int:
        """d, the width of an embedding."""
        return self.head.in_features

    def model_tensors(self) -> dict[str, Tensor]:
        """Every tensor under the names of the Hugging Face model, in single precision."""
        tensors = {
            **self.backbone.state_dict(),
            f"{self.head_path}.weight": self.head.weight.detach(),
            f"{self.head_path}.bias": self.head.bias.detach(),
        }
        return {name: tensors[name].contiguous() for name in sorted(tensors)}


def head_path(model: nn.Module) -> str:
    """Where the model's head, its last linear layer with a bias, sits.

    Raises:
        LayerRefused: there is none where Hugging Face's classifiers have it.
    """
    found: list[str] = [
        name
        for name, module in model.named_modules()
        if name.split(".")[0] in _HEAD_NAMES
        and isinstance(module, nn.Linear)
        and module.bias is not None
    ]
    if not found:
        raise LayerRefused(
            "The model has no linear head named classifier.",
            next_step="Use a model that classifies pictures.",
        )
    return found[-1]


def _replace(model: nn.Module, path: str, module: nn.Module) -> Any:
    parent = model.get_submodule(path.rpartition(".")[0])
    name = path.rpartition(".")[2]
    replaced = parent.get_submodule(name)
    setattr(parent, name, module)
    return replaced


def adaptable_modules(backbone: nn.Module) -> tuple[str, ...]:
    """The modules LoRA can be laid on and composed: linear, and plain convolutions.

    Grouped or dilated convolutions are left alone: PEFT neither merges the former nor dilates the
    low-rank path of the latter.
    """
    return tuple(name for name, module in backbone.named_modules() if _is_adaptable(module))


def _is_adaptable(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        plain = module.groups == 1 and module.dilation == (1, 1)
        return plain and module.padding_mode == "zeros"
    return type(module) is nn.Linear


@dataclass(frozen=True, slots=True)
class LoraShape:
    """How an adapter is wired in: its name, rank, and scaling times rank."""

    name: str
    rank: int
    alpha: float


def add_adapter(network: Network, modules: Sequence[str], shape: LoraShape) -> None:
    """Wire a LoRA adapter into the backbone, in place; everything else there stops learning.

    A starts random (from torch's generator), B at zero, so nothing changes until it learns.
    """
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=list(modules),
        lora_dropout=0.0,
        bias="none",
    )
    network.backbone.requires_grad_(False)
    inject_adapter_in_model(config, network.backbone, adapter_name=shape.name)
    network.freezes_batch_norm = True


def slot_tensor(module: str, side: str, name: str) -> str:
    """The name, inside the network, of side A or B of an adapter on a module."""
    return f"backbone.{module}.lora_{side}.{name}.weight"


def adapter_of(network: Network, modules: Sequence[str], shape: LoraShape) -> Adapter:
    """The trained adapter and head, the scaling folded into B."""
    tensors = dict(network.named_parameters())
    scaling = shape.alpha / shape.rank
    pairs = {}
    for module in modules:
        a = tensors[slot_tensor(module, "A", shape.name)].detach().numpy()
        b = tensors[slot_tensor(module, "B", shape.name)].detach().numpy() * scaling
        pairs[module] = LoraPair(a, b.astype("f4"))
    head = network.head
    return Adapter(pairs, head.weight.detach().numpy(), head.bias.detach().numpy())


def merge(network: Network, adapter: Adapter) -> None:
    """Add an adapter's change to the weights of a network, and take over its head, in place."""
    with torch.no_grad():
        for module, pair in adapter.pairs.items():
            weight = network.backbone.get_parameter(f"{module}.weight")
            delta = torch.from_numpy(pair.delta())
            if delta.shape != weight.shape:
                raise LayerRefused(f"A layer gives {module} another shape than the base has.")
            weight.add_(delta)
        network.head = new_head(network.embedding_size, len(adapter.head_bias))
        network.head.weight.copy_(torch.from_numpy(adapter.head_weight))
        network.head.bias.copy_(torch.from_numpy(adapter.head_bias))


def new_head(embedding_size: int, num_labels: int) -> nn.Linear:
    """A linear head with fresh weights."""
    return nn.Linear(embedding_size, num_labels)


def merged_network(stack: StackFiles) -> tuple[Network, tuple[Manifest, ...]]:
    """A stack (`safetensors` target) as one network, every layer merged in single precision.

    Raises:
        LayerRefused: a layer does not fit what lies below it.
    """
    manifests = read_stack(stack)
    network = base_network(stack.base.directory, manifests[0])
    for layer, manifest in zip(stack.layers[1:], manifests[1:], strict=True):
        merge(network, read_adapter(layer.directory / ADAPTER_NAME, manifest.modules))
    return network, manifests


def base_network(directory: Path, manifest: Manifest) -> Network:
    """The network in a base's folder (`safetensors` target).

    Raises:
        LayerRefused: the weights are not those its manifest names, or do not fit its configuration.
    """
    weights = directory / WEIGHTS_NAME
    if not weights.is_file() or sha256_file(weights) != manifest.weights:
        raise LayerRefused(
            f"The base in {directory.name} does not hold the {WEIGHTS_NAME} that it names.",
            next_step="Fetch or build the base again.",
        )
    config = json.loads((directory / CONFIG_NAME).read_bytes())
    return load_network(config, read_preprocessing(directory), [weights])


def build_network(config: Mapping[str, Any], preprocessing: Preprocessing) -> Network:
    """A network with fresh weights from a Hugging Face configuration (`config.json`)."""
    settings = AutoConfig.for_model(**config)
    model = AutoModelForImageClassification.from_config(settings, attn_implementation="eager")
    return Network(model.float(), preprocessing)


def load_network(
    config: Mapping[str, Any], preprocessing: Preprocessing, weights: Sequence[Path]
) -> Network:
    """A network in evaluation mode with the weights in safetensors files.

    Raises:
        LayerRefused: the files do not hold exactly the tensors of that configuration.
    """
    network = build_network(config, preprocessing)
    tensors: dict[str, Tensor] = {}
    try:
        for path in weights:
            tensors.update(load_file(path))
        _load_head(network, tensors)
        network.backbone.load_state_dict(tensors, strict=True)
    except (SafetensorError, OSError, RuntimeError, KeyError) as error:
        raise _misfit(_first_line(error)) from error
    return network.eval()


def pretrained_network(
    directory: Path, preprocessing: Preprocessing
) -> tuple[Network, dict[str, Any]]:
    """The network in a Hugging Face directory, in evaluation mode, with its configuration.

    Transformers renames what older versions of it wrote. Nothing is fetched, unpickled, or run
    from the directory.

    Raises:
        LayerRefused: no model can be built from the configuration, or the weights are not exactly
            those of it.
    """
    _require_buildable(directory)
    try:
        model, loading = AutoModelForImageClassification.from_pretrained(
            directory,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    except (SafetensorError, RuntimeError) as error:
        _logger.info("the weights do not fit: %s", error)
        raise _misfit("their shapes or types are others") from error
    except _BUILDING_ERRORS as error:
        raise _unbuildable(error) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading[kind]:
            raise _misfit(f"{kind.replace('_', ' ')} such as {sorted(map(str, loading[kind]))[0]}")
    return Network(model, preprocessing).eval(), model.config.to_dict()


def _require_buildable(directory: Path) -> None:
    """Build the model without memory for its weights, to tell a bad configuration from others."""
    try:
        settings = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
        with torch.device("meta"):
            AutoModelForImageClassification.from_config(settings, attn_implementation="eager")
    except _BUILDING_ERRORS as error:
        raise _unbuildable(error) from error


def _unbuildable(error: Exception) -> LayerRefused:
    _logger.info("no model can be built: %s: %s", type(error).__name__, error)
    return LayerRefused(
        f"{CONFIG_NAME} does not describe a model that can be built.",
        next_step=f"Fetch the model again, with the {CONFIG_NAME} that it was saved with.",
    )


def _misfit(reason: str) -> LayerRefused:
    return LayerRefused(
        f"The weights do not fit {CONFIG_NAME}: {reason}.",
        next_step=f"Use the {CONFIG_NAME} and weights of one and the same model.",
    )


def _load_head(network: Network, tensors: dict[str, Tensor]) -> None:
    head = {name: tensors.pop(f"{network.head_path}.{name}") for name in ("weight", "bias")}
    network.head.load_state_dict(head)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else lines[0] if lines else "unknown").rstrip(".")[:200]


def save_weights(network: Network, directory: Path) -> Path:
    """Write `model.safetensors`; the same weights give the same bytes."""
    path = directory / WEIGHTS_NAME
    write_atomic(path, save(network.model_tensors(), metadata={"format": "pt"}))
    return path
