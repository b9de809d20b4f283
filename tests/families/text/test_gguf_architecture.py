"""`config.json` becomes what llama.cpp reads, or a sentence that says why it cannot."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tests.families.text.gguf_factory import make_model
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_architecture import (
    Architecture,
    read_architecture,
    reorder_rows,
)

SMALL: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def read(**changes: Any) -> Architecture:
    return read_architecture({**SMALL, **changes})


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {}),
        ("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 32}),
        ("qwen2", {}),
        ("qwen3", {}),
    ],
)
def test_knows_every_tensor_that_transformers_makes(kind: str, changes: dict[str, Any]) -> None:
    model = make_model(kind, 300, **changes)
    architecture = read_architecture(model.config.to_dict())
    made = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert architecture.shapes() == made
    names = architecture.gguf_names()
    assert names.keys() == made.keys()
    assert len(set(names.values())) == len(made)
    linear = {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    }
    assert architecture.linear_modules() == linear


def test_tied_embeddings_need_no_output() -> None:
    assert "lm_head.weight" not in read(tie_word_embeddings=True).shapes()


def test_what_is_left_out_is_as_in_transformers() -> None:
    bare = {key: value for key, value in SMALL.items() if key != "num_key_value_heads"}
    found = read_architecture(bare)
    assert (found.num_key_value_heads, found.head_size) == (4, 16)
    assert (found.rms_norm_eps, found.rope.rope_theta, found.tied) == (1e-6, 10_000.0, False)
    assert read(model_type="qwen3", architectures=None).head_size == 128


def test_reads_rotary_settings_of_both_formats() -> None:
    new = read(rope_parameters={"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0})
    old = read(rope_theta=500_000, rope_scaling={"type": "linear", "factor": 2})
    assert new.rope == old.rope
    assert (new.rope.rope_type, new.rope.rope_theta, new.rope.factor) == ("linear", 5e5, 2.0)


def test_llama3_factors_are_those_of_transformers() -> None:
    config = LlamaConfig(
        head_dim=64,
        max_position_embeddings=256,
        rope_parameters={"rope_theta": 10_000.0, **LLAMA3},
    )
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 1 / 10_000.0 ** (np.arange(0, 64, 2) / 64)
    factors = read(rope_scaling=LLAMA3, head_dim=64).rope_factors()
    assert factors is not None
    assert len(set(factors.tolist())) > 3
    np.testing.assert_allclose(plain / factors, expected.numpy(), rtol=1e-5)
    assert read().rope_factors() is None


def test_reordered_rows_pair_each_number_with_its_neighbour() -> None:
    rows = np.arange(16).reshape(16, 1)
    assert reorder_rows(rows, 2).ravel().tolist() == [
        *(0, 4, 1, 5, 2, 6, 3, 7),
        *(8, 12, 9, 13, 10, 14, 11, 15),
    ]


def test_only_llama_reorders_queries_and_keys() -> None:
    llama, qwen = read(), read(model_type="qwen2", architectures=None)
    block = "model.layers.1.self_attn."
    assert llama.heads_to_reorder(block + "q_proj.weight") == 4
    assert llama.heads_to_reorder(block + "k_proj.bias") == 2
    assert llama.heads_to_reorder(block + "v_proj.weight") == 0
    assert qwen.heads_to_reorder(block + "q_proj.weight") == 0


def test_writes_the_hyperparameters_under_llama_cpps_keys() -> None:
    writer = gguf.GGUFWriter(None, "llama")
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    read(rope_parameters={"rope_theta": 1e6, **yarn}).add_metadata(writer)
    written = {key: value.value for key, value in writer.kv_data[0].items()}
    assert written == {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 256,
        "llama.embedding_length": 64,
        "llama.feed_forward_length": 96,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 16,
        "llama.attention.value_length": 16,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.vocab_size": 300,
        "llama.rope.dimension_count": 16,
        "llama.rope.freq_base": 1e6,
        "llama.rope.scaling.type": "yarn",
        "llama.rope.scaling.factor": 4.0,
        "llama.rope.scaling.original_context_length": 64,
    }


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "gpt2"}, "The architecture 'gpt2' cannot be written as GGUF"),
    ({"model_type": None}, "The architecture 'None' cannot be written as GGUF"),
    ({"architectures": ["LlamaModel"]}, "The model is a LlamaModel, not a language model"),
    ({"hidden_size": "64"}, "has no usable hidden_size"),
    ({"hidden_size": None}, "has no usable hidden_size"),
    ({"num_hidden_layers": 0}, "has no usable num_hidden_layers"),
    ({"num_key_value_heads": 3}, "has heads that do not divide evenly"),
    ({"head_dim": 15}, "has heads that do not divide evenly"),
    ({"hidden_size": 2}, "has heads that do not divide evenly"),
    ({"quantization_config": {"bits": 4}}, "describes weights that are quantised already"),
    ({"hidden_act": "gelu"}, "asks for the activation 'gelu', not silu"),
    ({"use_sliding_window": True}, "asks for sliding-window attention"),
    ({"layer_types": ["sliding_attention"]}, "asks for sliding-window attention"),
    (
        {"model_type": "qwen3", "architectures": None, "attention_bias": True},
        "gives the attention of a qwen3 biases",
    ),
    (
        {"model_type": "qwen2", "architectures": None, "mlp_bias": True},
        "gives the linear weights of a qwen2 biases",
    ),
    ({"rope_scaling": {"type": "dynamic"}}, "turns positions in a way that is not supported"),
    (
        {"rope_parameters": {"partial_rotary_factor": 0.5}},
        "turns positions in a way that is not supported",
    ),
    (
        {"rope_parameters": {"rope_type": "yarn", "mscale": 1.0}},
        "turns positions in a way that is not supported",
    ),
    (
        {"model_type": "qwen2", "architectures": None, "rope_scaling": LLAMA3},
        "asks for llama3's rotary factors in a qwen2",
    ),
    (
        {"rope_scaling": {"rope_type": "linear", "factor": "2"}},
        "has no usable factor for the rotary positions",
    ),
    (
        {"rope_scaling": {**LLAMA3, "high_freq_factor": 1.0}},
        "has a high_freq_factor that is not above its low_freq_factor",
    ),
    (
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5}},
        "sets attention_factor, beta_fast or beta_slow, which llama.cpp passes over",
    ),
    (
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 16}},
        "sets attention_factor, beta_fast or beta_slow, which llama.cpp passes over",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_refuses_what_llama_cpp_would_compute_otherwise(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ModelRefused) as refused:
        read(**changes)
    assert sentence in refused.value.message
    assert refused.value.next_step
