"""A learned tokenizer: characters, digits and bytes, and llama.cpp's agreement."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.families.text.gguf_factory import open_server, random_texts, tokenize
from tests.families.text.tuning_factory import tickets
from tokenizers import Tokenizer

from dizuo.artifacts.model import StackFiles
from dizuo.core.progress import silent
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.gguf_tokenizer import BYTE_SYMBOL
from dizuo.families.text.lessons import texts_of
from dizuo.families.text.recipe import parse_task
from dizuo.families.text.tokenizer import (
    SPECIAL_TOKENS,
    in_bytes,
    learn_tokenizer,
)

TEXTS = [*texts_of(tickets(60), parse_task({})), "don't say hello world, 2024; naïve café"]


@pytest.fixture(scope="module")
def learned() -> Tokenizer:
    return learn_tokenizer(TEXTS, 420)


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.decode([token]) for token in tokenizer.encode(text).ids]


def test_every_text_comes_back(learned: Tokenizer) -> None:
    for text in ["人民路12号积水", "鳖\t鱉 😀", "  x\r\n\n", *random_texts(50, seed=1)]:
        ids = learned.encode(text).ids
        assert learned.decode(ids, skip_special_tokens=False) == text


def test_digits_stand_alone_and_known_characters_are_never_in_pieces(learned: Tokenizer) -> None:
    assert pieces(learned, "120号") == ["1", "2", "0", "号"]
    characters = {character for text in TEXTS for character in text}
    assert all(len(learned.encode(character).ids) == 1 for character in characters)
    assert len(learned.encode("鳖").ids) > 1


def test_a_name_is_the_same_tokens_after_a_comma_and_after_a_quotation_mark() -> None:
    names = [f",{name}路,{name}路" for name in "赵钱孙李" for _ in range(30)]
    tokenizer = learn_tokenizer(names, 400)
    assert pieces(tokenizer, ',赵路"赵路') == [",", "赵路", '"', "赵路"]


def test_bytes_and_special_tokens_are_always_there() -> None:
    tokenizer = learn_tokenizer([], 300)
    vocabulary = tokenizer.get_vocab()
    assert set(BYTE_SYMBOL) <= vocabulary.keys()
    assert [tokenizer.token_to_id(text) is not None for text in SPECIAL_TOKENS] == [True] * 3
    assert tokenizer.encode("a<|im_end|>").tokens == ["a", "<|im_end|>"]
    assert in_bytes("é\n") == "Ã©Ċ"


@pytest.mark.parametrize("vocab_size", [300, 320, 420, 2000])
def test_it_has_at_most_as_many_tokens_as_asked_for(vocab_size: int) -> None:
    tokenizer = learn_tokenizer(TEXTS, vocab_size)
    ids = sorted(tokenizer.get_vocab().values())
    assert ids == list(range(len(ids)))
    assert len(ids) <= vocab_size
    assert tokenizer.decode(tokenizer.encode(TEXTS[0]).ids) == TEXTS[0]


def test_a_small_vocabulary_keeps_the_commonest_characters() -> None:
    tokenizer = learn_tokenizer(["甲甲甲乙"], 346)  # three quarters are the bytes and one character
    assert len(tokenizer.encode("甲").ids) < len(tokenizer.encode("乙").ids)


def test_the_order_of_texts_and_the_process_do_not_matter(learned: Tokenizer) -> None:
    assert learn_tokenizer(reversed(TEXTS), 420).to_str() == learned.to_str()
    child = (
        "import sys, json, hashlib; from dizuo.families.text.tokenizer import learn_tokenizer;"
        "t = learn_tokenizer(json.load(sys.stdin), 420);"
        "print(hashlib.sha256(t.to_str().encode()).hexdigest())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", child],
        input=json.dumps(TEXTS).encode(),
        capture_output=True,
        check=True,
        timeout=120,
    )
    expected = hashlib.sha256(learned.to_str().encode()).hexdigest()
    assert ran.stdout.decode().strip() == expected


def test_llama_cpp_reads_the_same_tokens(base: StackFiles, tmp_path: Path) -> None:
    directory = base.base.directory
    write_base(directory, tmp_path / "model.gguf", "f16", silent)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    server = open_server(tmp_path / "model.gguf")
    for text in [*TEXTS[:20], *random_texts(150, seed=2)]:
        assert tokenize(server, text) == tokenizer.encode(text).ids, text
