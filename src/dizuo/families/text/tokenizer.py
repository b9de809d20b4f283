"""The tokenizer of a base from scratch: byte-level BPE that llama.cpp follows exactly. Heavy.

Texts are cut as Qwen2 cuts them, so every digit stands alone and no merge crosses from a word into
a space after it. Every character beyond ASCII that finds room is one token: a model that copies a
name it has never seen copies whole characters. Everything else falls back to bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from dizuo.families.text.gguf_tokenizer import BYTE_SYMBOL, QWEN2_PATTERN

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, START_OF_TURN, END_OF_TURN)
CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""ChatML, as Qwen3 writes it without tools and thinking."""

_SCAFFOLD = ("system\n", "user\n", "assistant\n")
_SHARE_OF_CHARACTERS = 0.75
_MAX_CHARACTERS = 60_000
_PRIVATE_PLANE = 0xF0000
_BETWEEN = "\ue000"
"""Stands between words while merges are counted; that of a text is spelled in bytes by then."""

_BYTE_SYMBOLS = tuple(sorted(BYTE_SYMBOL))


def tokenizer_config(context_length: int) -> dict[str, Any]:
    """`tokenizer_config.json` beside a learned `tokenizer.json`."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "bos_token": None,
        "eos_token": END_OF_TURN,
        "pad_token": END_OF_TEXT,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
    }


def learn_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A tokenizer of at most `vocab_size` tokens, learned from texts; the same texts, in whatever
    order, give the same tokenizer.

    Bytes come first, then characters beyond ASCII by how often they occur, in up to three quarters
    of the vocabulary, then merges of whole characters (Sennrich et al. 2016, *Neural Machine
    Translation of Rare Words with Subword Units*).
    """
    words = _words(texts)
    alphabet = _alphabet(words, int(_SHARE_OF_CHARACTERS * vocab_size))
    vocabulary, merges = dict(alphabet.vocabulary), list(alphabet.merges)
    room = vocab_size - len(vocabulary) - len(SPECIAL_TOKENS)
    for left, right in _learned_merges(words, alphabet, room):
        merges.append((left, right))
        vocabulary.setdefault(left + right, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [_cut(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL_TOKENS])
    return tokenizer


def _cut() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated")


def _words(texts: Iterable[str]) -> Counter[str]:
    """How often each word stands in the texts, a word being what no merge may cross.

    Finer than the tokenizer's own cut: punctuation does not stick to the word after it, so a name
    is the same tokens after a comma in a prompt as after a quotation mark in JSON.
    """
    cut = _cut()
    words: Counter[str] = Counter()
    for text in (*_SCAFFOLD, *texts):
        for word, _ in cut.pre_tokenize_str(text):
            mark = word[0] if _begins_with_mark(word) else ""
            words.update(part for part in (mark, word[len(mark) :]) if part)
    return words


def _begins_with_mark(word: str) -> bool:
    first = word[0]
    return len(word) > 1 and word[1].isalpha() and not first.isalnum() and not first.isspace()


@dataclass(frozen=True, slots=True)
class _Alphabet:
    """The bytes and whole characters that merges are learned from.

    While they are counted, each character stands for itself as one symbol of a private plane of
    Unicode, since some characters are also symbols of bytes.
    """

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    symbols: Mapping[str, str]

    def spelled(self, word: str) -> str:
        """A word in symbols."""
        return "".join(self.symbols.get(character) or in_bytes(character) for character in word)

    def respelled(self, token: str) -> str:
        """Symbols as those of bytes."""
        characters = {symbol: character for character, symbol in self.symbols.items()}
        return "".join(in_bytes(characters[s]) if s in characters else s for s in token)


def _alphabet(words: Mapping[str, int], limit: int) -> _Alphabet:
    vocabulary = {symbol: number for number, symbol in enumerate(_BYTE_SYMBOLS)}
    merges: list[tuple[str, str]] = []
    symbols: dict[str, str] = {}
    for character in _by_frequency(words):
        spelled = in_bytes(character)
        beginnings = [spelled[:end] for end in range(2, len(spelled) + 1)]
        new = [token for token in beginnings if token not in vocabulary]
        if len(vocabulary) + len(new) > limit or len(symbols) == _MAX_CHARACTERS:
            break
        for token in new:
            vocabulary[token] = len(vocabulary)
            merges.append((token[:-1], token[-1]))
        symbols[character] = chr(_PRIVATE_PLANE + len(symbols))
    return _Alphabet(vocabulary, merges, symbols)


def _by_frequency(words: Mapping[str, int]) -> list[str]:
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            if ord(character) > 127:
                counts[character] += count
    return sorted(counts, key=lambda character: (-counts[character], character))


def _learned_merges(
    words: Mapping[str, int], alphabet: _Alphabet, room: int
) -> Iterator[tuple[str, str]]:
    """Merges of the alphabet's symbols, written in bytes."""
    symbols = [*_BYTE_SYMBOLS, *alphabet.symbols.values()]
    counting = Tokenizer(models.BPE())
    counting.pre_tokenizer = pre_tokenizers.Split(_BETWEEN, behavior="removed")
    trainer = trainers.BpeTrainer(
        vocab_size=len(symbols) + max(room, 0),
        min_frequency=2,
        initial_alphabet=symbols,
        show_progress=False,
    )
    spelled = ((alphabet.spelled(word), words[word]) for word in sorted(words))
    counting.train_from_iterator(
        (_BETWEEN.join([word] * count) for word, count in spelled if len(word) > 1), trainer
    )
    for left, right in json.loads(counting.to_str())["model"]["merges"]:
        yield alphabet.respelled(left), alphabet.respelled(right)


def in_bytes(text: str) -> str:
    """A text as the symbols that stand for its bytes."""
    return "".join(BYTE_SYMBOL[byte] for byte in text.encode())
