"""A base in GGUF answers as it does in PyTorch; what would not is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.families.text.gguf_factory import (
    PROMPTS,
    change_json,
    expected_logprobs,
    make_checkpoint,
    open_server,
    top_logprobs,
)
from tokenizers import Tokenizer

from dizuo.core.progress import Progress, silent
from dizuo.families.errors import ModelRefused
from dizuo.families.text import gguf_base
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.gguf_writing import Quantisation

# Half floats in another order of additions.
TOLERANCE = 2e-2


def rope(**settings: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10_000.0, **settings}}


YARN = rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=64)
LLAMA3 = rope(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)


def worst_difference(model: Any, tokenizer: Tokenizer, path: Path) -> float:
    """The largest difference in log-probability of the five likeliest first tokens."""
    server = open_server(path)
    differences = []
    for prompt in PROMPTS:
        found = top_logprobs(server, prompt)
        for token, logprob in expected_logprobs(model, tokenizer.encode(prompt).ids).items():
            differences.append(abs(logprob - found.get(token, -100.0)))
    return max(differences)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        pytest.param("llama", {}, id="llama"),
        pytest.param("llama", {"tie_word_embeddings": True}, id="llama tied"),
        pytest.param("llama", {"attention_bias": True, "mlp_bias": True}, id="llama with biases"),
        pytest.param("llama", {"head_dim": 32, **rope(rope_theta=5e5)}, id="llama wide heads"),
        pytest.param("llama", {"dtype": torch.bfloat16, **LLAMA3}, id="llama 3 in bf16"),
        pytest.param("llama", rope(rope_type="linear", factor=4.0), id="llama linear"),
        pytest.param("qwen2", {"dtype": torch.float16}, id="qwen2 in f16"),
        pytest.param("qwen2", {"tie_word_embeddings": True, **YARN}, id="qwen2 tied yarn"),
        pytest.param("qwen3", {"intermediate_size": 80, **YARN}, id="qwen3 yarn"),
        pytest.param("qwen3", {"tie_word_embeddings": True}, id="qwen3 tied"),
    ],
)
def test_answers_as_in_pytorch(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path, kind, **settings)
    write_base(tmp_path, tmp_path / "model.gguf", "f16", silent)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert worst_difference(model, tokenizer, tmp_path / "model.gguf") < TOLERANCE


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tied, with rows of 80 numbers in `down_proj` that no block divides."""
    directory = tmp_path_factory.mktemp("qwen3")
    make_checkpoint(directory, "qwen3", tie_word_embeddings=True, intermediate_size=80)
    return directory


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("llama")
    make_checkpoint(directory, "llama")
    return directory


@pytest.fixture
def spoilt(qwen3: Path, tmp_path: Path) -> Path:
    """A copy, for a test to spoil."""
    for path in qwen3.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def exported(directory: Path, quantisation: Quantisation, destination: Path) -> bytes:
    write_base(directory, destination, quantisation, silent)
    return destination.read_bytes()


@pytest.mark.parametrize("quantisation", ["q8_0", "q4_0"])
def test_a_quantised_base_loads_and_answers(
    quantisation: Quantisation, qwen3: Path, llama: Path, tmp_path: Path
) -> None:
    for directory in (qwen3, llama):
        path = tmp_path / f"{directory.name}.gguf"
        exported(directory, quantisation, path)
        server = open_server(path)
        chat = {"messages": [{"role": "user", "content": "积水"}], "max_tokens": 4}
        assert server.handle_chat_completions(chat)["usage"]["completion_tokens"] > 0
        assert all(-20 < logprob < 0 for logprob in top_logprobs(server, PROMPTS[0]).values())


def test_quantised_weights_are_near_the_trained_ones(llama: Path, tmp_path: Path) -> None:
    trained = load_file(llama / "model.safetensors")
    exported(llama, "q4_0", tmp_path / "model.gguf")
    for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors:
        if tensor.name != "blk.1.ffn_up.weight":
            continue
        weight = trained["model.layers.1.mlp.up_proj.weight"].numpy().reshape(-1, 32)
        back = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(-1, 32)
        steps = np.abs(weight).max(axis=1, keepdims=True) / 8
        assert (np.abs(back - weight) <= steps * 1.01).all()
        return
    pytest.fail("there is no such tensor")


@pytest.mark.parametrize(
    ("model", "quantisation", "types"),
    [
        ("qwen3", "f16", {"token_embd": "F16", "blk.0.attn_q": "F16", "blk.0.ffn_down": "F16"}),
        ("qwen3", "q8_0", {"token_embd": "Q8_0", "blk.0.attn_q": "Q8_0", "blk.0.ffn_down": "F16"}),
        ("qwen3", "q4_0", {"token_embd": "Q8_0", "blk.0.attn_q": "Q4_0", "blk.0.ffn_down": "F16"}),
        ("llama", "q4_0", {"token_embd": "Q4_0", "output": "Q8_0", "blk.0.ffn_down": "Q4_0"}),
    ],
)
def test_each_tensor_has_the_type_that_llama_quantize_chooses(
    model: str,
    quantisation: Quantisation,
    types: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    exported(request.getfixturevalue(model), quantisation, tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    found = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert {name: found[f"{name}.weight"] for name in types} == types
    assert found["output_norm.weight"] == found["blk.0.attn_norm.weight"] == "F32"


def test_the_same_model_gives_the_same_bytes_in_any_number_of_files(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exported(llama, "q4_0", tmp_path / "one.gguf")
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    for path in llama.glob("*.j*"):
        (sharded / path.name).write_bytes(path.read_bytes())
    weights = load_file(llama / "model.safetensors")
    names = {name: f"model-{number % 3}.safetensors" for number, name in enumerate(weights)}
    for file in set(names.values()):
        part = {name: weight for name, weight in weights.items() if names[name] == file}
        save_file(part, sharded / file)
    index = json.dumps({"metadata": {}, "weight_map": names})
    (sharded / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    assert exported(sharded, "q4_0", tmp_path / "two.gguf") == whole
    # Nor does it matter how many rows are read at a time.
    monkeypatch.setattr(gguf_base, "_NUMBERS_AT_ONCE", 700)
    assert exported(llama, "q4_0", tmp_path / "three.gguf") == whole


def test_the_metadata_is_what_llama_cpp_reads(llama: Path, tmp_path: Path) -> None:
    exported(llama, "q8_0", tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    wanted = {
        "general.architecture": "llama",
        "general.type": "model",
        "general.file_type": 7,
        "general.quantization_version": 2,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
    }
    assert {key: reader.fields[key].contents() for key in wanted} == wanted


def test_tells_how_far_it_is(qwen3: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    write_base(qwen3, tmp_path / "model.gguf", "f16", told.append)
    assert told[0].done == 0
    assert told[-1].done == told[-1].total > 0
    assert {event.stage for event in told} == {"export"}


def change_weights(directory: Path, **changes: torch.Tensor | None) -> None:
    path = directory / "model.safetensors"
    weights = load_file(path)
    for name, value in changes.items():
        weights.pop(name.replace("__", "."), None)
        if value is not None:
            weights[name.replace("__", ".")] = value
    save_file(weights, path)


NORM = "model__norm__weight"


def set_norm(value: torch.Tensor | None) -> Callable[[Path], None]:
    return lambda directory: change_weights(directory, **{NORM: value})


def set_query(value: float) -> Callable[[Path], None]:
    name = "model__layers__0__self_attn__q_proj__weight"
    return lambda directory: change_weights(directory, **{name: torch.full((128, 64), value)})


REFUSED: list[tuple[Callable[[Path], object], str]] = [
    (lambda at: (at / "config.json").unlink(), "There is no config.json in the model's folder"),
    (lambda at: (at / "config.json").write_text("["), "config.json is not a JSON object"),
    (lambda at: (at / "config.json").write_text("1"), "config.json is not a JSON object"),
    (lambda at: change_json(at / "config.json", hidden_act="relu"), "asks for the activation"),
    (lambda at: (at / "tokenizer.json").unlink(), "There is no tokenizer.json"),
    (lambda at: (at / "model.safetensors").unlink(), "There are no weights"),
    (lambda at: (at / "model.safetensors").write_bytes(b"x"), "is cut short"),
    (set_norm(None), "lack model.norm.weight in a Qwen3ForCausalLM"),
    (
        lambda at: change_weights(at, extra=torch.ones(1)),
        "hold 'extra', which is unknown in a Qwen3ForCausalLM",
    ),
    (set_norm(torch.ones(3)), "give model.norm.weight the shape (3,), not (64,)"),
    (
        set_norm(torch.ones(64, dtype=torch.int8)),
        "keep model.norm.weight as I8, not as floating-point numbers",
    ),
    (set_norm(torch.full((64,), torch.nan)), "hold numbers in model.norm.weight that are not"),
    (set_query(torch.inf), "q_proj.weight that are not finite"),
    (set_query(1e5), "q_proj.weight that are too large for half floats"),
]


@pytest.mark.parametrize(("spoil", "sentence"), REFUSED, ids=[said for _, said in REFUSED])
def test_refuses_a_spoilt_model_and_leaves_nothing(
    spoil: Callable[[Path], object], sentence: str, spoilt: Path
) -> None:
    spoil(spoilt)
    before = sorted(spoilt.iterdir())
    with pytest.raises(ModelRefused) as refused:
        write_base(spoilt, spoilt / "model.gguf", "f16", silent)
    assert sentence in refused.value.message
    assert refused.value.next_step
    assert sorted(spoilt.iterdir()) == before


def test_passes_over_what_is_computed_anew(spoilt: Path, tmp_path: Path) -> None:
    expected = exported(spoilt, "f16", tmp_path / "one.gguf")
    change_weights(
        spoilt,
        model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(16),
        lm_head__weight=torch.ones(1),
    )
    assert exported(spoilt, "f16", tmp_path / "two.gguf") == expected
