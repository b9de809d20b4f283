"""Tiny checkpoints with random weights, as Transformers saves them, and llama.cpp to run them."""

from __future__ import annotations

import json
import random
import urllib.request
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xllamacpp
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dizuo.families.text.gguf_tokenizer import LLAMA3_PATTERN, QWEN2_PATTERN

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NUM_LAYERS = 2
HIDDEN_SIZE = 64
INTERMEDIATE_SIZE = 96
CONTEXT_LENGTH = 256
KEY = "tests"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPTS = (
    "<|im_start|>user\n人民路12号积水<|im_end|>\n<|im_start|>assistant\n",
    "The quick brown fox jumps over 13 lazy dogs.",
    "市民反映：" + "路灯不亮，请尽快处理。" * 6,
    "a",
)
_CLASSES: Mapping[str, tuple[type[Any], type[Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_SENTENCES = (
    "人民路12号附近积水严重，已经3天了，请尽快处理。",
    "市民反映：中山大道路灯不亮，希望城管局来人。",
    "The quick brown fox jumps over 13 lazy dogs; isn't it 1,024.5 m away?",
    '{"类别":"排水","部门":"水务局","紧急":"高","地点":"人民路12号"}\n\n',
    "  def f(x):\n\treturn x\r\n",
)


def split_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    """What Qwen (and Llama 3) tokenizers do before the merges."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def single_digits() -> pre_tokenizers.PreTokenizer:
    """Digits one by one, else as GPT-2."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def gpt2() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


PRE_TOKENIZERS = {
    "qwen2": (split_by(QWEN2_PATTERN), False),
    "llama-bpe": (split_by(LLAMA3_PATTERN), True),
    "smaug-bpe": (split_by(LLAMA3_PATTERN), False),
    "gpt-2": (gpt2(), False),
    "smollm": (single_digits(), False),
}
"""llama.cpp's name to what it stands for, and whether words skip the merges."""


def make_tokenizer(
    name: str = "smollm", vocab_size: int = 420, texts: Sequence[str] = _SENTENCES
) -> Tokenizer:
    """A byte-level BPE tokenizer, trained on a few sentences."""
    pre_tokenizer, ignore_merges = PRE_TOKENIZERS[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: Path, **settings: Any) -> None:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        **settings,
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(directory)


def make_model(kind: str, vocab_size: int, *, seed: int = 0, **changes: Any) -> Any:
    """A model whose every weight is random, norms and biases too; its answers are not near-ties."""
    configuration, model_class = _CLASSES[kind]
    settings: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": INTERMEDIATE_SIZE,
        "num_hidden_layers": NUM_LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT_LENGTH,
        "tie_word_embeddings": False,
        "initializer_range": 0.1,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    if kind == "qwen3":
        settings["head_dim"] = 32
    torch.manual_seed(seed)
    model = model_class(configuration(**{**settings, **changes})).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.1)
            elif weight.ndim == 1:
                weight.uniform_(0.7, 1.3)
            elif "q_proj" in name or "k_proj" in name:
                weight.mul_(3)  # so that it matters which positions are attended to
    return model


def make_checkpoint(
    directory: Path, kind: str, *, dtype: torch.dtype = torch.float32, **changes: Any
) -> Any:
    """A folder as `save_pretrained` writes it; returns the model, in single precision."""
    tokenizer = make_tokenizer()
    model = make_model(kind, tokenizer.get_vocab_size(), **changes).to(dtype)
    model.save_pretrained(directory)
    save_tokenizer(tokenizer, directory)
    return model.float()


def make_adapters(model: Any, directory: Path, names: Sequence[str], rank: int = 8) -> Any:
    """Random layers on a model, as PEFT applies them, and each one's `adapter.safetensors` in a
    folder of its name. Returns the PEFT model; its adapters have half precision, as the files."""
    torch.manual_seed(7)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(LINEAR))
    with warnings.catch_warnings():
        # PEFT asks Transformers for a property by its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        peft = get_peft_model(model, config, adapter_name=names[0])
    for name in names[1:]:
        peft.add_adapter(name, config)
    with torch.no_grad():
        for parameter, weight in peft.named_parameters():
            if "lora_" in parameter:
                weight.normal_(0, 0.1 if "lora_A" in parameter else 0.02)
                weight.copy_(weight.half())
    for name in names:
        folded = {
            key.removeprefix("base_model.model."): weight.half() * (2 if "lora_B" in key else 1)
            for key, weight in get_peft_model_state_dict(peft, adapter_name=name).items()
        }
        (directory / name).mkdir()
        save_file(folded, directory / name / "adapter.safetensors")
    return peft


def change_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    value = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {key: entry for key, entry in value.items() if entry is not None}
    path.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")


def open_server(model: Path, adapters: Sequence[Path] = ()) -> xllamacpp.Server:
    """llama.cpp with a model, one thread; each adapter off unless a request turns it on."""
    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(model)
    wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in adapters]
    wanted.n_ctx = CONTEXT_LENGTH
    wanted.n_parallel = 1
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
    wanted.cache_ram_mib = 0
    wanted.warmup = False
    wanted.fit_params = False
    wanted.verbosity = -1
    wanted.api_keys = [KEY]
    server = xllamacpp.Server(wanted)
    # One that is closed before its loop has begun waits for ever; an answer shows that it has.
    server.handle_completions({"prompt": "a", "max_tokens": 1})
    return server


def top_logprobs(
    server: xllamacpp.Server, prompt: str, scales: Sequence[float] = (), number: int = 50
) -> dict[int, float]:
    """The likeliest first tokens of an answer, by id.

    What is told is what the model says before a token is chosen. The choice is held to ASCII, since
    llama.cpp tells nothing about a token that ends in the middle of a character.
    """
    body = {
        "grammar": "root ::= [ -~]+",
        "prompt": prompt,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": number,
        "cache_prompt": False,
        "lora": [{"id": index, "scale": scale} for index, scale in enumerate(scales)],
    }
    answer = server.handle_completions(body)
    first = answer["choices"][0]["logprobs"]["content"][0]
    return {entry["id"]: entry["logprob"] for entry in first["top_logprobs"]}


def expected_logprobs(model: Any, ids: Sequence[int], number: int = 5) -> dict[int, float]:
    """The same from the model in PyTorch, in single precision."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(ids)])).logits[0, -1]
    best = torch.log_softmax(logits, dim=-1).topk(number)
    return dict(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def tokenize(server: xllamacpp.Server, text: str) -> list[int]:
    """The ids that llama.cpp gives a text, special tokens in it included."""
    asked = urllib.request.Request(
        server.listening_address.rstrip("/") + "/tokenize",
        data=json.dumps({"content": text, "parse_special": True, "add_special": True}).encode(),
        headers={"content-type": "application/json", "authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(asked) as answer:
        found: list[int] = json.load(answer)["tokens"]
    return found


def random_texts(number: int, seed: int = 0) -> list[str]:
    """Mixed Chinese, English, digits, punctuation and spaces, with what tokenizers stumble over."""
    pieces = [
        *"人民路号积水的，。：（）“”《》！？～１２３４五六",
        *"abcXYZéßñдя",
        *"0123456789²½Ⅷ٣",
        *".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+`~",
        *("  ", "   ", " ", " ", "\t", "\n", "\n\n", "\r\n", " \n ", "\u3000", "\u00a0"),
        *("'s", "'LL", "'re", "don't", "I'VE", "hello", " world", "积水", "城管局", "12345"),
        *("😀", "👨‍👩‍👧", "e\u0301", "กำ", "한국어", "عربي", "नमस्ते", "<tool_call>", "<|im_end|>"),
    ]
    chance = random.Random(seed)
    return ["".join(chance.choices(pieces, k=chance.randint(1, 30))) for _ in range(number)]
