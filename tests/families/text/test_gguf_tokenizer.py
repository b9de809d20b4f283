"""llama.cpp reads the same tokens as the tokenizer it was given, or the tokenizer is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from tests.families.text.gguf_factory import (
    PRE_TOKENIZERS,
    TEMPLATE,
    change_json,
    make_model,
    make_tokenizer,
    open_server,
    random_texts,
    save_tokenizer,
    tokenize,
)
from tokenizers import Tokenizer, processors
from transformers import AutoTokenizer

from dizuo.core.progress import silent
from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.gguf_tokenizer import BYTE_SYMBOL, Vocabulary, read_vocabulary

CONFIG: dict[str, Any] = {"eos_token_id": 2}


@pytest.fixture(scope="module")
def made() -> Tokenizer:
    return make_tokenizer()


@pytest.fixture
def directory(tmp_path: Path, made: Tokenizer) -> Path:
    save_tokenizer(made, tmp_path)
    return tmp_path


def read(directory: Path, config: dict[str, Any] = CONFIG, vocab_size: int = 424) -> Vocabulary:
    return read_vocabulary(directory, config, vocab_size)


def change_tokenizer(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "tokenizer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_llama_cpp_gives_the_same_ids(name: str, tmp_path: Path) -> None:
    # Trained on the very kind of text it is asked about, it has tokens across every seam.
    tokenizer = make_tokenizer(name, 1500, random_texts(1500, seed=9))
    model = make_model("qwen3", tokenizer.get_vocab_size() + 3, num_hidden_layers=1)
    model.save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    write_base(tmp_path, tmp_path / "model.gguf", "f16", silent)
    server = open_server(tmp_path / "model.gguf")
    texts = random_texts(300)
    assert [tokenize(server, text) for text in texts] == [
        encoding.ids for encoding in tokenizer.encode_batch(texts)
    ]
    in_training = AutoTokenizer.from_pretrained(tmp_path)
    assert in_training(texts).input_ids == [
        encoding.ids for encoding in tokenizer.encode_batch(texts)
    ]


def test_begins_texts_as_the_tokenizer_does(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    make_model("llama", tokenizer.get_vocab_size()).save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path, bos_token="<|endoftext|>")
    write_base(tmp_path, tmp_path / "model.gguf", "f16", silent)
    server = open_server(tmp_path / "model.gguf")
    assert tokenize(server, "人民路12号") == tokenizer.encode("人民路12号").ids
    assert tokenize(server, "人民路12号")[0] == 0


def test_tells_the_types_of_tokens(directory: Path) -> None:
    found = read(directory)
    by_text = dict(zip(found.tokens, found.token_types, strict=True))
    assert len(found.tokens) == 424
    assert by_text["<|im_end|>"] == gguf.TokenType.CONTROL
    assert by_text["<tool_call>"] == gguf.TokenType.USER_DEFINED
    assert by_text["a"] == gguf.TokenType.NORMAL
    assert by_text["[PAD423]"] == gguf.TokenType.UNUSED


def test_takes_what_looks_special_for_special(directory: Path) -> None:
    def add(value: dict[str, Any]) -> None:
        value["added_tokens"].append({"id": 421, "content": "<|fim_prefix|>", "special": False})

    change_tokenizer(directory, add)
    assert read(directory).token_types[421] == gguf.TokenType.CONTROL


def test_merges_are_lines_however_they_are_kept(directory: Path) -> None:
    pairs = read(directory).merges

    def join(value: dict[str, Any]) -> None:
        value["model"]["merges"] = [" ".join(pair) for pair in value["model"]["merges"]]

    change_tokenizer(directory, join)
    assert read(directory).merges == pairs
    assert all(line.count(" ") == 1 for line in pairs)


def test_special_tokens_are_the_tokenizers(directory: Path) -> None:
    found = read(directory, {"eos_token_id": 0, "pad_token_id": 5})
    assert found.special == {"bos": 2, "eos": 2, "pad": 0}
    assert (found.adds_bos, found.adds_eos) == (False, False)


def test_special_tokens_are_else_the_configurations(directory: Path) -> None:
    change_json(directory / "tokenizer_config.json", eos_token=None, pad_token=None)
    found = read(directory, {"bos_token_id": 1, "eos_token_id": [2, 0], "pad_token_id": 9999})
    assert found.special == {"bos": 1, "eos": 2}


def test_special_tokens_may_be_objects(directory: Path) -> None:
    change_json(directory / "tokenizer_config.json", eos_token={"content": "<|endoftext|>"})
    assert read(directory).special["eos"] == 0


def test_further_ends_are_told_unless_llama_cpp_knows_them(directory: Path) -> None:
    generation = directory / "generation_config.json"
    generation.write_text(json.dumps({"eos_token_id": [2, 0, 40, 41]}), encoding="utf-8")
    found = read(directory)
    assert (found.special["eot"], found.special["eom"]) == (40, 41)
    generation.write_text(json.dumps({"eos_token_id": [2, 40, 41, 42]}), encoding="utf-8")
    with pytest.raises(ModelRefused, match=r"more tokens than llama\.cpp can be told"):
        read(directory)


def test_settings_decide_whether_a_text_begins_with_a_token(directory: Path) -> None:
    settings = directory / "tokenizer_config.json"
    change_json(settings, add_bos_token=True, bos_token="<|im_start|>")
    found = read(directory)
    assert (found.adds_bos, found.special["bos"]) == (True, 1)
    # As in Transformers, what is not there is not added.
    change_json(settings, add_bos_token=True, bos_token=None)
    assert not read(directory).adds_bos


def test_a_template_may_add_both_ends(directory: Path) -> None:
    single = [
        {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "<|im_end|>", "type_id": 0}},
    ]
    template = {"type": "TemplateProcessing", "single": single}
    processor = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]}
    change_tokenizer(directory, lambda value: value.update(post_processor=processor))
    change_json(directory / "tokenizer_config.json", bos_token="<|im_start|>")
    found = read(directory)
    assert (found.adds_bos, found.adds_eos) == (True, True)


@pytest.mark.parametrize("processor", [None, {"type": "ByteLevel"}, {"type": "TemplateProcessing"}])
def test_most_tokenizers_add_nothing(directory: Path, processor: dict[str, Any] | None) -> None:
    change_tokenizer(directory, put("post_processor", value=processor))
    found = read(directory)
    assert (found.adds_bos, found.adds_eos) == (False, False)


def test_finds_the_chat_template(directory: Path) -> None:
    assert read(directory).chat_template == TEMPLATE
    settings = directory / "tokenizer_config.json"
    change_json(settings, chat_template="in the settings")
    assert read(directory).chat_template == TEMPLATE
    (directory / "chat_template.jinja").unlink()
    assert read(directory).chat_template == "in the settings"
    named = [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
    change_json(settings, chat_template=named)
    assert read(directory).chat_template == "d"
    change_json(settings, chat_template=None)
    assert read(directory).chat_template is None


def test_needs_no_settings(directory: Path) -> None:
    (directory / "tokenizer_config.json").unlink()
    assert read(directory).special["eos"] == 2


def test_the_alphabet_of_bytes_is_that_of_tokenizers() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(BYTE_SYMBOL) == set(ByteLevel.alphabet())
    assert len(BYTE_SYMBOL) == 256


def test_accepts_texts_composed_first(directory: Path) -> None:
    change_tokenizer(directory, lambda value: value.update(normalizer={"type": "NFC"}))
    assert read(directory).pre_tokenizer == "smollm"


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], object]:
    """Sets a place in `tokenizer.json`."""

    def change(tokenizer: dict[str, Any]) -> None:
        inner = tokenizer
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return change


def remove_byte(tokenizer: dict[str, Any]) -> None:
    del tokenizer["model"]["vocab"]["!"]


def add_token(text: str, number: int, **flags: Any) -> Callable[[dict[str, Any]], object]:
    def change(tokenizer: dict[str, Any]) -> None:
        tokenizer["added_tokens"].append({"id": number, "content": text, **flags})

    return change


SPLIT = {"type": "Split", "pattern": {"Regex": r"\p{N}"}, "behavior": "Isolated", "invert": False}
TWO_BEFORE = [{"SpecialToken": {"id": "<|im_start|>"}}] * 2 + [{"Sequence": {"id": "A"}}]
REFUSED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (put("model", "type", value="Unigram"), "is of type 'Unigram', not byte-level BPE"),
    (put("model", value=None), "is of type 'None', not byte-level BPE"),
    (put("model", "byte_fallback", value=True), "is SentencePiece's BPE over characters"),
    (put("decoder", value=None), "is SentencePiece's BPE over characters"),
    (put("model", "vocab", value=[]), "has no usable model.vocab"),
    (put("model", "vocab", value={"a": "b"}), "has no usable model.vocab.a"),
    (put("added_tokens", value=[{"id": 1}]), "has no usable added_tokens.0.content"),
    (put("model", "end_of_word_suffix", value="</w>"), "marks the inside or the end of words"),
    (put("model", "merges", value=["a b c"]), "has a merge that is not of two tokens"),
    (put("normalizer", value={"type": "Lowercase"}), "rewrites texts before it cuts them"),
    (put("pre_tokenizer", value=None), "cuts texts by rules that llama.cpp does not have"),
    (put("pre_tokenizer", value=SPLIT), "cuts texts by rules that llama.cpp does not have"),
    (
        put("pre_tokenizer", value={"type": "ByteLevel", "add_prefix_space": True}),
        "cuts texts by rules that llama.cpp does not have",
    ),
    (
        put("model", "ignore_merges", value=True),
        "cuts texts by rules that llama.cpp does not have",
    ),
    (
        put("post_processor", value={"type": "BertProcessing"}),
        "adds tokens to texts in an unknown way",
    ),
    (
        put("post_processor", value={"type": "TemplateProcessing", "single": TWO_BEFORE}),
        "puts more than one token before or after every text",
    ),
    (
        put("post_processor", value={"type": "TemplateProcessing", "single": TWO_BEFORE[1:]}),
        "puts '<|im_start|>' around every text, which is not its bos_token",
    ),
    (remove_byte, "lacks 1 of the 256 bytes"),
    (put("model", "vocab", "人", value=421), "has a token '人' that is not made of bytes"),
    (add_token("x", 424), "has ids that the model's 424 embeddings do not reach"),
    (add_token("a", 421), "gives two tokens the same text, or one none"),
    (add_token("", 421), "gives two tokens the same text, or one none"),
    (add_token("x", 421, lstrip=True), "has a token 'x' that takes in what is beside it"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=[said for _, said in REFUSED])
def test_refuses_what_llama_cpp_would_read_otherwise(
    change: Callable[[dict[str, Any]], object], sentence: str, directory: Path
) -> None:
    change_tokenizer(directory, change)
    with pytest.raises(ModelRefused) as refused:
        read(directory)
    assert sentence in refused.value.message
    assert refused.value.next_step


def test_refuses_a_tokenizer_that_never_ends(directory: Path) -> None:
    change_json(directory / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelRefused, match="names no token that ends an answer"):
        read(directory, {})


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000])
def test_refuses_a_file_that_is_not_json(directory: Path, text: str) -> None:
    (directory / "tokenizer_config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelRefused, match=r"tokenizer_config\.json is not a JSON object"):
        read(directory)


def test_refuses_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"There is no tokenizer\.json in the model's folder"):
        read(tmp_path)
