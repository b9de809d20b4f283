"""Messages become tokens as the engine makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.families.text.gguf_factory import change_json
from tokenizers import AddedToken, Tokenizer, processors
from transformers import AutoTokenizer

from dizuo.artifacts.model import StackFiles
from dizuo.families.errors import LayerRefused
from dizuo.families.text.tokenizer import CHAT_TEMPLATE, learn_tokenizer, tokenizer_config
from dizuo.families.text.tokens import Tokens, read_tokens, tokens_of

CHAT = [{"role": "system", "content": "热线"}, {"role": "user", "content": "积水 9"}]
WRITTEN = "<|im_start|>system\n热线<|im_end|>\n<|im_start|>user\n积水 9<|im_end|>\n"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return learn_tokenizer(["热线积水"], 400)


@pytest.fixture
def tokens(tokenizer: Tokenizer) -> Tokens:
    return tokens_of(tokenizer, CHAT_TEMPLATE, tokenizer_config(64))


def test_chatml_with_a_prompt_for_the_assistant(tokens: Tokens) -> None:
    text = tokens.tokenizer.decode(tokens.prompt(CHAT))
    assert text == WRITTEN + "<|im_start|>assistant\n"
    assert tokens.tokenizer.convert_ids_to_tokens(tokens.prompt(CHAT)[0]) == "<|im_start|>"


def test_answers_end_the_turn_and_texts_end_the_text(tokens: Tokens) -> None:
    assert tokens.tokenizer.decode(tokens.answer("好")) == "好<|im_end|>"
    assert tokens.tokenizer.decode(tokens.text("好")) == "好<|endoftext|>"
    assert tokens.plain("好") == tokens.text("好")[:-1]
    assert tokens.stops == {tokens.end_of_turn, tokens.end_of_text}


def test_an_answer_continues_its_prompt_as_the_template_writes_both(tokens: Tokens) -> None:
    both = [*CHAT, {"role": "assistant", "content": "好"}]
    whole = tokens.tokenizer.apply_chat_template(both, tokenize=False)
    ids = [*tokens.prompt(CHAT), *tokens.answer("好")]
    assert whole == tokens.tokenizer.decode(ids) + "\n"


def test_tokens_are_spelled_in_bytes(tokens: Tokens) -> None:
    ids = tokens.answer("热\n鳖😀")
    assert b"".join(tokens.spelled(token) for token in ids).decode() == "热\n鳖😀"
    assert tokens.spelled(tokens.end_of_turn) == b""
    assert tokens.spelled(399) == b""  # an embedding without a token


def test_a_token_that_was_added_but_is_not_special_is_written() -> None:
    tokenizer = learn_tokenizer([], 300)
    tokenizer.add_tokens([AddedToken("<tool>", special=False)])
    tokens = tokens_of(tokenizer, CHAT_TEMPLATE, tokenizer_config(64))
    assert tokens.spelled(tokenizer.get_vocab()["<tool>"]) == b"<tool>"


def test_the_files_of_a_base_give_the_same_as_transformers(base: StackFiles) -> None:
    directory = base.base.directory
    tokens = read_tokens(directory)
    theirs = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    text = "人民路3号 hello 😀<|im_end|>"
    assert theirs(text)["input_ids"] == tokens.plain(text)
    assert theirs.eos_token_id == tokens.end_of_turn
    assert theirs.pad_token_id == tokens.end_of_text
    rendered = theirs.apply_chat_template(CHAT, add_generation_prompt=True)["input_ids"]
    assert rendered == tokens.prompt(CHAT)


def test_thinking_is_off(tokenizer: Tokenizer) -> None:
    template = CHAT_TEMPLATE.replace(
        "assistant\\n'", "assistant\\n' + ('' if enable_thinking else '<no>')"
    )
    tokens = tokens_of(tokenizer, template, tokenizer_config(64))
    assert tokens.tokenizer.decode(tokens.prompt(CHAT)).endswith("assistant\n<no>")


def test_a_beginning_of_text_stands_once(tokenizer: Tokenizer) -> None:
    copy = Tokenizer.from_str(tokenizer.to_str())
    first = copy.token_to_id("<|endoftext|>")
    copy.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", first)]
    )
    for template in (CHAT_TEMPLATE, "<|endoftext|>" + CHAT_TEMPLATE):
        tokens = tokens_of(copy, template, tokenizer_config(64))
        prompt = tokens.prompt(CHAT)
        assert prompt[0] == first
        assert prompt.count(first) == 1
        assert tokens.plain("a")[0] == first
        assert first not in tokens.answer("a")


@pytest.mark.parametrize(
    ("settings", "generation", "end"),
    [
        ({"eos_token": "<|endoftext|>"}, None, "<|im_end|>"),
        ({"eos_token": {"content": "<|im_end|>"}}, {"eos_token_id": 5}, "<|im_end|>"),
    ],
    ids=["a base model's", "a mapping"],
)
def test_what_ends_a_turn_is_what_the_template_writes(
    tokenizer: Tokenizer, settings: dict[str, Any], generation: dict[str, Any] | None, end: str
) -> None:
    tokens = tokens_of(tokenizer, CHAT_TEMPLATE, settings, generation)
    assert tokens.end_of_turn == tokenizer.token_to_id(end)
    assert set((generation or {}).values()) <= tokens.stops
    assert tokens.tokenizer.pad_token_id is not None


def test_a_template_that_writes_no_end_leaves_it_to_the_tokenizer(tokenizer: Tokenizer) -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokens = tokens_of(tokenizer, template, {"eos_token": "<|endoftext|>"})
    assert tokens.end_of_turn == tokenizer.token_to_id("<|endoftext|>")
    with pytest.raises(LayerRefused, match="names no token that ends an answer"):
        tokens_of(tokenizer, template, {"pad_token": "<|endoftext|>"})


def test_a_template_that_refuses_messages_is_told(tokenizer: Tokenizer) -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + CHAT_TEMPLATE
    )
    tokens = tokens_of(tokenizer, template, tokenizer_config(64))
    with pytest.raises(LayerRefused, match=r"cannot write these messages: no system\."):
        tokens.prompt(CHAT)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_base_without_a_tokenizer_is_refused(base: StackFiles, tmp_path: Path, name: str) -> None:
    for path in base.base.directory.iterdir():
        if path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(LayerRefused, match="has no tokenizer that can be read"):
        read_tokens(tmp_path)


def test_ends_named_by_the_generation_config_stop_too(base: StackFiles, tmp_path: Path) -> None:
    for path in base.base.directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    change_json(tmp_path / "generation_config.json", eos_token_id=[7, 8])
    assert {7, 8} < read_tokens(tmp_path).stops
