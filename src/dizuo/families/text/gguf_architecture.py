"""What `config.json` says of a dense decoder, in the terms of GGUF.

Three architectures, each under one name in Transformers and in llama.cpp: `llama`, `qwen2` and
`qwen3`. `Architecture` knows every tensor that a checkpoint must hold and its shape, how llama.cpp
calls it, and which of them llama.cpp wants in another order of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dizuo.families.errors import ModelRefused

EMBEDDING = "model.embed_tokens.weight"
OUTPUT = "lm_head.weight"
ROPE_FACTORS = "rope_freqs.weight"
"""llama.cpp's tensor of divisors for the rotary frequencies; it is in no checkpoint."""

_ARCHITECTURES: Mapping[str, tuple[gguf.MODEL_ARCH, str]] = {
    "llama": (gguf.MODEL_ARCH.LLAMA, "LlamaForCausalLM"),
    "qwen2": (gguf.MODEL_ARCH.QWEN2, "Qwen2ForCausalLM"),
    "qwen3": (gguf.MODEL_ARCH.QWEN3, "Qwen3ForCausalLM"),
}
_QWEN3_HEAD_SIZE = 128
_ROPE_KINDS = ("default", "linear", "yarn", "llama3")
_BEYOND_ROPE = {"mrope_section", "mscale", "mscale_all_dim"}

Count = Annotated[int, Field(ge=1, le=10_000_000)]


class _Config(BaseModel):
    """The keys of `config.json` that a GGUF depends on; the rest does not change what is computed.

    Sizes must be there. What else is left out has the value that Transformers gives it.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    model_type: str
    architectures: list[str] | None = None
    vocab_size: Count
    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Annotated[int, Field(ge=1, le=1000)]
    num_attention_heads: Count
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    max_position_embeddings: Count
    rms_norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    hidden_act: str = "silu"
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    use_sliding_window: bool = False
    layer_types: list[str] | None = None
    quantization_config: dict[str, Any] | None = None
    rope_theta: Annotated[float, Field(gt=0)] | None = None
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None


class Rope(BaseModel):
    """How positions turn queries and keys (Su et al. 2021, *RoFormer*), and how far they are
    stretched: `linear` (all frequencies alike), `yarn` (Peng et al. 2023) or `llama3`."""

    model_config = ConfigDict(strict=True, frozen=True)

    rope_type: Literal["default", "linear", "yarn", "llama3"] = "default"
    rope_theta: Annotated[float, Field(gt=0)] = 10_000.0
    factor: Annotated[float, Field(ge=1)] = 1.0
    original_max_position_embeddings: Count | None = None
    low_freq_factor: Annotated[float, Field(gt=0)] = 1.0
    high_freq_factor: Annotated[float, Field(gt=0)] = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None

    def is_plain_yarn(self) -> bool:
        """Whether all but the factor is as the paper has it, since llama.cpp computes only that."""
        usual = 0.1 * math.log(self.factor) + 1
        attention = usual if self.attention_factor is None else self.attention_factor
        return math.isclose(attention, usual) and (self.beta_fast, self.beta_slow) == (32, 1)

    def llama3_factors(self, head_size: int) -> NDArray[np.float32]:
        """What llama.cpp divides each rotary frequency by, shape (head_size / 2,).

        Low frequencies are divided by `factor`, high ones by one, those between by a blend:
        `_compute_llama3_parameters` in `modeling_rope_utils.py` of Transformers.
        """
        frequencies = 1 / self.rope_theta ** (np.arange(0, head_size, 2) / head_size)
        turns = (self.original_max_position_embeddings or 8192) * frequencies / (2 * math.pi)
        blend = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        blend = np.clip(blend, 0, 1)
        return (1 / ((1 - blend) / self.factor + blend)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A dense decoder. `tied` means that the embedding is also the output's weight."""

    name: str
    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_key_value_heads: int
    head_size: int
    context_length: int
    vocab_size: int
    rms_norm_eps: float
    rope: Rope
    tied: bool
    attention_bias: bool
    mlp_bias: bool

    @property
    def class_name(self) -> str:
        """The class in Transformers."""
        return _ARCHITECTURES[self.name][1]

    @property
    def num_parameters(self) -> int:
        """Of a checkpoint, tied ones once."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of a checkpoint by its name in Transformers, in a fixed order."""
        found: dict[str, tuple[int, ...]] = {EMBEDDING: (self.vocab_size, self.hidden_size)}
        for number in range(self.num_layers):
            found.update(self._block_shapes(f"model.layers.{number}."))
        found["model.norm.weight"] = (self.hidden_size,)
        if not self.tied:
            found[OUTPUT] = (self.vocab_size, self.hidden_size)
        return found

    def linear_modules(self) -> dict[str, tuple[int, int]]:
        """The linear weights of the blocks, which layers may change: module to (out, in)."""
        return {
            name.removesuffix(".weight"): (shape[0], shape[1])
            for name, shape in self.shapes().items()
            if name.endswith("_proj.weight") and len(shape) == 2
        }

    def _block_shapes(self, block: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        hidden, inner = self.hidden_size, self.intermediate_size
        queries, keys = self.num_heads * self.head_size, self.num_key_value_heads * self.head_size
        attention = {"q": (queries, hidden), "k": (keys, hidden), "v": (keys, hidden)}
        yield f"{block}input_layernorm.weight", (hidden,)
        for letter, shape in (attention | {"o": (hidden, queries)}).items():
            yield f"{block}self_attn.{letter}_proj.weight", shape
            if self.attention_bias and (letter != "o" or self.name == "llama"):
                yield f"{block}self_attn.{letter}_proj.bias", shape[:1]
        if self.name == "qwen3":
            yield f"{block}self_attn.q_norm.weight", (self.head_size,)
            yield f"{block}self_attn.k_norm.weight", (self.head_size,)
        yield f"{block}post_attention_layernorm.weight", (hidden,)
        linear = {"gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner)}
        for part, shape in linear.items():
            yield f"{block}mlp.{part}_proj.weight", shape
            if self.mlp_bias:
                yield f"{block}mlp.{part}_proj.bias", shape[:1]

    def gguf_names(self) -> dict[str, str]:
        """Names of tensors in Transformers to those in llama.cpp."""
        names = gguf.get_tensor_name_map(_ARCHITECTURES[self.name][0], self.num_layers)
        mapped = {
            name: names.get_name(name, try_suffixes=(".weight", ".bias")) for name in self.shapes()
        }
        return {name: found for name, found in mapped.items() if found is not None}

    def heads_to_reorder(self, name: str) -> int:
        """How many heads' rows a tensor holds that llama.cpp wants reordered; 0 if it does not.

        Transformers turns the first half of a head against the second half, llama.cpp's `llama`
        each number against its neighbour (`LlamaModel.permute` in its converter); its Qwen models
        do as Transformers does.
        """
        if self.name != "llama":
            return 0
        if ".self_attn.q_proj." in name:
            return self.num_heads
        return self.num_key_value_heads if ".self_attn.k_proj." in name else 0

    def rope_factors(self) -> NDArray[np.float32] | None:
        """The tensor ROPE_FACTORS, where the architecture has one."""
        if self.rope.rope_type != "llama3":
            return None
        return self.rope.llama3_factors(self.head_size)

    def add_metadata(self, writer: gguf.GGUFWriter) -> None:
        """The hyperparameters, under the keys that llama.cpp reads."""
        writer.add_block_count(self.num_layers)
        writer.add_context_length(self.context_length)
        writer.add_embedding_length(self.hidden_size)
        writer.add_feed_forward_length(self.intermediate_size)
        writer.add_head_count(self.num_heads)
        writer.add_head_count_kv(self.num_key_value_heads)
        writer.add_key_length(self.head_size)
        writer.add_value_length(self.head_size)
        writer.add_layer_norm_rms_eps(self.rms_norm_eps)
        writer.add_vocab_size(self.vocab_size)
        if self.name == "llama":
            writer.add_rope_dimension_count(self.head_size)
        self._add_rope(writer)

    def _add_rope(self, writer: gguf.GGUFWriter) -> None:
        rope = self.rope
        writer.add_rope_freq_base(rope.rope_theta)
        if rope.rope_type not in ("linear", "yarn"):
            return
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope.rope_type))
        writer.add_rope_scaling_factor(rope.factor)
        if rope.rope_type == "linear":
            return
        writer.add_rope_scaling_orig_ctx_len(
            rope.original_max_position_embeddings or self.context_length
        )


def reorder_rows(rows: NDArray[Any], num_heads: int) -> NDArray[Any]:
    """Rows (or a bias) of a query or key weight in llama.cpp's order; none are lost."""
    halves = rows.reshape(num_heads, 2, rows.shape[0] // num_heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture that a `config.json` describes.

    Raises:
        ModelRefused: llama.cpp has no such model, or would compute something else.
    """
    name = str(config.get("model_type"))
    if name not in _ARCHITECTURES:
        raise ModelRefused(
            f"The architecture {name[:60]!r} cannot be written as GGUF.",
            next_step=f"Supported: {', '.join(_ARCHITECTURES)}.",
        )
    try:
        parsed = _Config.model_validate(dict(config))
    except ValidationError as error:
        raise _refused(f"has no usable {'.'.join(map(str, error.errors()[0]['loc']))}") from error
    _check_class(parsed.architectures, name)
    _check_computation(parsed)
    heads = parsed.num_attention_heads
    found = Architecture(
        name=name,
        num_layers=parsed.num_hidden_layers,
        hidden_size=parsed.hidden_size,
        intermediate_size=parsed.intermediate_size,
        num_heads=heads,
        num_key_value_heads=parsed.num_key_value_heads or heads,
        head_size=parsed.head_dim
        or (_QWEN3_HEAD_SIZE if name == "qwen3" else parsed.hidden_size // heads),
        context_length=parsed.max_position_embeddings,
        vocab_size=parsed.vocab_size,
        rms_norm_eps=parsed.rms_norm_eps,
        rope=_rope(parsed),
        tied=parsed.tie_word_embeddings,
        attention_bias=name == "qwen2" or parsed.attention_bias,
        mlp_bias=parsed.mlp_bias,
    )
    if heads % found.num_key_value_heads or found.head_size % 2 or found.head_size == 0:
        raise _refused("has heads that do not divide evenly")
    return found


def _check_class(classes: list[str] | None, name: str) -> None:
    expected = _ARCHITECTURES[name][1]
    if classes and expected not in classes:
        raise ModelRefused(
            f"The model is a {classes[0][:60]}, not a language model.",
            next_step=f"Import a {expected}.",
        )


def _check_computation(config: _Config) -> None:
    """Refuse what llama.cpp would compute otherwise, or not at all."""
    if config.quantization_config is not None:
        raise _refused(
            "describes weights that are quantised already", "Import the model as it was trained."
        )
    if config.hidden_act != "silu":
        raise _refused(f"asks for the activation {config.hidden_act[:30]!r}, not silu")
    if config.use_sliding_window or "sliding_attention" in (config.layer_types or ()):
        raise _refused("asks for sliding-window attention")
    if config.model_type == "qwen3" and config.attention_bias:
        raise _refused("gives the attention of a qwen3 biases")
    if config.model_type != "llama" and config.mlp_bias:
        raise _refused(f"gives the linear weights of a {config.model_type} biases")


def _rope(config: _Config) -> Rope:
    """The rotary settings of Transformers 5 (`rope_parameters`) or 4 (`rope_theta`,
    `rope_scaling`)."""
    given = dict(config.rope_parameters or config.rope_scaling or {})
    kind = given.setdefault("rope_type", given.get("type", "default"))
    if config.rope_theta is not None:
        given.setdefault("rope_theta", config.rope_theta)
    partial = given.get("partial_rotary_factor", 1.0) != 1.0
    if kind not in _ROPE_KINDS or partial or _BEYOND_ROPE & given.keys():
        raise _refused(
            "turns positions in a way that is not supported",
            f"Supported rope types: {', '.join(_ROPE_KINDS)}.",
        )
    if kind == "llama3" and config.model_type != "llama":
        raise _refused(f"asks for llama3's rotary factors in a {config.model_type}")
    try:
        rope = Rope.model_validate(
            {key: value for key, value in given.items() if value is not None}
        )
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise _refused(f"has no usable {place} for the rotary positions") from error
    if rope.high_freq_factor <= rope.low_freq_factor:
        raise _refused("has a high_freq_factor that is not above its low_freq_factor")
    if rope.rope_type == "yarn" and not rope.is_plain_yarn():
        raise _refused("sets attention_factor, beta_fast or beta_slow, which llama.cpp passes over")
    return rope


def _refused(reason: str, next_step: str = "Correct config.json.") -> ModelRefused:
    return ModelRefused(f"The model's config.json {reason}.", next_step=next_step)
