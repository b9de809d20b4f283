"""`tokenizer.json` and its companions, as the vocabulary of a GGUF.

Byte-level BPE only. llama.cpp has the rules that cut a text before the merges built in, under
names (`tokenizer.ggml.pre`); a tokenizer whose rules are none of those is refused, since llama.cpp
would cut otherwise and the model would read other tokens than it was trained on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from pydantic import BaseModel, ValidationError

from dizuo.families.errors import ModelRefused
from dizuo.families.text.layer import (
    CHAT_TEMPLATE_NAME,
    GENERATION_CONFIG_NAME,
    TOKENIZER_CONFIG_NAME,
    TOKENIZER_NAME,
)

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_PUNCTUATION_AND_SPACES = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2_PATTERN = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _PUNCTUATION_AND_SPACES
LLAMA3_PATTERN = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _PUNCTUATION_AND_SPACES

_Steps = tuple[tuple[str, ...], ...]
_GPT2_BYTES = ("bytes", "gpt-2 pattern")
_BYTES = ("bytes",)
_PRE_TOKENIZERS: Mapping[tuple[_Steps, bool], str] = {
    ((("split", QWEN2_PATTERN), _BYTES), False): "qwen2",
    ((("split", LLAMA3_PATTERN), _BYTES), True): "llama-bpe",
    ((("split", LLAMA3_PATTERN), _BYTES), False): "smaug-bpe",
    ((_GPT2_BYTES,), False): "gpt-2",
    ((("digits",), _GPT2_BYTES), False): "smollm",
}
"""What cuts a text, and whether whole words in the vocabulary skip the merges, to llama.cpp's name.

Each is held against llama.cpp by a test that tokenizes random texts with both.
"""

ENDS_KNOWN_BY_TEXT = (
    *("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "<|end|>"),
    *("<end_of_turn>", "<EOT>", "</s>", "<eos>"),
)
"""Tokens that llama.cpp ends an answer at by their text alone (`llama_vocab::impl::load`)."""


def _byte_symbols() -> tuple[str, ...]:
    """The character that stands for each byte: itself where it can be printed, else one from 256 on
    (`bytes_to_unicode` of GPT-2's encoder.py)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(256)
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


BYTE_SYMBOL = _byte_symbols()
"""By byte."""

_SENTENCEPIECE_NAME = "tokenizer.model"
_MAX_JSON_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All that llama.cpp needs to read and write text.

    `tokens` and `token_types` have one entry per row of the embedding; `special` maps `bos`, `eos`,
    `eot`, `eom`, `unk` and `pad` to ids, those that there are.
    """

    tokens: tuple[str, ...]
    token_types: tuple[int, ...]
    merges: tuple[str, ...]
    pre_tokenizer: str
    special: Mapping[str, int]
    adds_bos: bool
    adds_eos: bool
    chat_template: str | None

    def add_metadata(self, writer: gguf.GGUFWriter) -> None:
        """The vocabulary, under the keys that llama.cpp reads."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre_tokenizer)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.token_types)
        writer.add_token_merges(self.merges)
        for name, token in self.special.items():
            getattr(writer, f"add_{name}_token_id")(token)
        writer.add_add_bos_token(self.adds_bos)
        writer.add_add_eos_token(self.adds_eos)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)


class _AddedToken(BaseModel):
    id: int
    content: str
    special: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False


class _Model(BaseModel):
    vocab: dict[str, int]
    merges: list[str | tuple[str, str]]
    byte_fallback: bool = False
    ignore_merges: bool = False
    continuing_subword_prefix: str | None = None
    end_of_word_suffix: str | None = None


class _Tokenizer(BaseModel):
    """`tokenizer.json` of the tokenizers package, those sections that decide about tokens."""

    model: _Model
    added_tokens: list[_AddedToken] = []
    normalizer: dict[str, Any] | None = None
    pre_tokenizer: dict[str, Any] | None = None
    post_processor: dict[str, Any] | None = None
    decoder: dict[str, Any] | None = None


def read_vocabulary(directory: Path, config: Mapping[str, Any], vocab_size: int) -> Vocabulary:
    """The vocabulary in a model's folder, filled up to the rows of its embedding.

    Raises:
        ModelRefused: llama.cpp cannot tokenize as this tokenizer does; says why.
    """
    tokenizer = _read_tokenizer(directory / TOKENIZER_NAME)
    settings = _read_json(directory / TOKENIZER_CONFIG_NAME, required=False)
    generation = _read_json(directory / GENERATION_CONFIG_NAME, required=False)
    tokens, types = _tokens(tokenizer, vocab_size)
    special = _special(settings, config, tokens)
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    further = _further_ends(ends, tokens, special["eos"])
    first, last = _template_ends(tokenizer.post_processor)
    return Vocabulary(
        tokens=tokens,
        token_types=types,
        merges=_merges(tokenizer.model.merges),
        pre_tokenizer=_pre_tokenizer(tokenizer),
        # Left out, llama.cpp takes token 11; GPT-2, too, begins with the token that it ends with.
        special={"bos": special["eos"], **special, **further},
        adds_bos=_adds("bos", settings, first, tokens, special),
        adds_eos=_adds("eos", settings, last, tokens, special),
        chat_template=_chat_template(directory, settings),
    )


def _read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    if not path.is_file():
        if not required:
            return {}
        raise ModelRefused(
            f"There is no {path.name} in the model's folder.",
            next_step="Save its tokenizer there with save_pretrained.",
        )
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ModelRefused(f"{path.name} is not a JSON object.", next_step="Fetch the model again.")
    return value


def _read_tokenizer(path: Path) -> _Tokenizer:
    """`tokenizer.json`, if it is byte-level BPE that llama.cpp can follow."""
    if not path.is_file() and path.with_name(_SENTENCEPIECE_NAME).is_file():
        raise _unsupported(f"is SentencePiece's ({_SENTENCEPIECE_NAME}), not byte-level BPE")
    given = _read_json(path)
    kind = (given.get("model") or {}).get("type")
    if kind != "BPE":
        raise _unsupported(f"is of type {str(kind)[:30]!r}, not byte-level BPE")
    try:
        tokenizer = _Tokenizer.model_validate(given)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise _refused(f"has no usable {place[:80]}", "Fetch the model again.") from error
    if tokenizer.model.byte_fallback or not _is_of_type(tokenizer.decoder, "ByteLevel"):
        raise _unsupported("is SentencePiece's BPE over characters, not byte-level BPE")
    if tokenizer.model.continuing_subword_prefix or tokenizer.model.end_of_word_suffix:
        raise _refused("marks the inside or the end of words")
    # llama.cpp does not compose characters (NFC) either way, and no more does its converter ask.
    if tokenizer.normalizer is not None and not _is_of_type(tokenizer.normalizer, "NFC"):
        raise _refused("rewrites texts before it cuts them (its normalizer)")
    return tokenizer


def _is_of_type(section: Mapping[str, Any] | None, name: str) -> bool:
    return section is not None and section.get("type") == name


def _pre_tokenizer(tokenizer: _Tokenizer) -> str:
    """llama.cpp's name for what cuts a text before the merges."""
    section = tokenizer.pre_tokenizer or {}
    parts = section.get("pretokenizers") if _is_of_type(section, "Sequence") else [section]
    steps = tuple(_step(part) for part in parts or ())
    known = _PRE_TOKENIZERS.get((steps, tokenizer.model.ignore_merges))
    if known is None:
        raise _refused(
            "cuts texts by rules that llama.cpp does not have (its pre_tokenizer)",
            f"Known: those of {', '.join(sorted(_PRE_TOKENIZERS.values()))}.",
        )
    return known


def _step(part: Mapping[str, Any]) -> tuple[str, ...]:
    kind = part.get("type")
    if kind == "Split" and part.get("behavior") == "Isolated" and not part.get("invert"):
        return ("split", str((part.get("pattern") or {}).get("Regex")))
    if kind == "Digits" and part.get("individual_digits"):
        return ("digits",)
    if kind == "ByteLevel" and not part.get("add_prefix_space", True):
        return _GPT2_BYTES if part.get("use_regex", True) else _BYTES
    return ("unknown",)


def _tokens(tokenizer: _Tokenizer, vocab_size: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Texts and types of all tokens by id; ids that have none are filled with unused ones."""
    texts = {number: text for text, number in tokenizer.model.vocab.items()}
    types = dict.fromkeys(texts, gguf.TokenType.NORMAL)
    for token in tokenizer.added_tokens:
        if token.single_word or token.lstrip or token.rstrip:
            raise _refused(f"has a token {token.content[:40]!r} that takes in what is beside it")
        control = token.special or _looks_special(token.content)
        texts[token.id] = token.content
        types[token.id] = gguf.TokenType.CONTROL if control else gguf.TokenType.USER_DEFINED
    if min(texts, default=0) < 0 or max(texts, default=0) >= vocab_size:
        raise _refused(
            f"has ids that the model's {vocab_size:,} embeddings do not reach",
            "Fetch weights and tokenizer of one and the same model.",
        )
    _check_bytes({texts[number] for number in texts if types[number] is gguf.TokenType.NORMAL})
    tokens = tuple(texts.get(number, f"[PAD{number}]") for number in range(vocab_size))
    if len(set(tokens)) < vocab_size or "" in tokens:
        raise _refused("gives two tokens the same text, or one none")
    unused = gguf.TokenType.UNUSED
    return tokens, tuple(int(types.get(number, unused)) for number in range(vocab_size))


def _looks_special(text: str) -> bool:
    """llama.cpp's converter takes these for control tokens, whatever their flag says."""
    return (text.startswith("<|") and text.endswith("|>")) or text in ("<pad>", "<mask>")


def _check_bytes(texts: set[str]) -> None:
    alphabet = frozenset(BYTE_SYMBOL)
    missing = len(alphabet - texts)
    if missing:
        raise _refused(f"lacks {missing} of the 256 bytes, so that some texts cannot be read")
    strange = next((text for text in sorted(texts) if not alphabet.issuperset(text)), None)
    if strange is not None:
        raise _refused(f"has a token {strange[:40]!r} that is not made of bytes")


def _merges(merges: Sequence[str | tuple[str, str]]) -> tuple[str, ...]:
    """One line each. The tokenizers package writes pairs since 0.20, and wrote lines before."""
    lines = tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in merges)
    if any(line.count(" ") != 1 for line in lines):
        raise _refused("has a merge that is not of two tokens")
    return lines


def _special(
    settings: Mapping[str, Any], config: Mapping[str, Any], tokens: Sequence[str]
) -> dict[str, int]:
    """Ids by role: as the tokenizer names them, else as the model's configuration does."""
    found = {}
    for role in ("bos", "eos", "unk", "pad"):
        named = settings.get(f"{role}_token")
        text = named.get("content") if isinstance(named, dict) else named
        number = config.get(f"{role}_token_id")
        if isinstance(number, list):
            number = next(iter(number), None)
        if text in tokens:
            number = tokens.index(text)
        if isinstance(number, int) and 0 <= number < len(tokens):
            found[role] = number
    if "eos" not in found:
        raise _refused(
            "names no token that ends an answer", "Set eos_token in tokenizer_config.json."
        )
    return found


def _further_ends(named: Any, tokens: Sequence[str], eos: int) -> dict[str, int]:
    """Ends of an answer besides `eos` that llama.cpp would not know by their text."""
    further = [
        number
        for number in (named if isinstance(named, list) else [named])
        if isinstance(number, int)
        and number != eos
        and 0 <= number < len(tokens)
        and tokens[number] not in ENDS_KNOWN_BY_TEXT
    ]
    if len(further) > 2:
        raise _refused("ends answers with more tokens than llama.cpp can be told")
    return dict(zip(("eot", "eom"), further, strict=False))


def _template_ends(processor: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """The special tokens that the post-processor puts before and after every text."""
    section = processor or {}
    parts = section.get("processors") if _is_of_type(section, "Sequence") else [section]
    kinds = [part.get("type") for part in parts or () if part]
    if set(kinds) - {"ByteLevel", "TemplateProcessing"}:
        raise _refused("adds tokens to texts in an unknown way (its post_processor)")
    for part in parts or ():
        if _is_of_type(part, "TemplateProcessing"):
            single = part.get("single") or [{}]
            names = [piece.get("SpecialToken", {}).get("id") for piece in single]
            text = names.index(None) if None in names else len(names)
            before, after = names[:text], names[text + 1 :]
            if len(before) > 1 or len(after) > 1:
                raise _refused("puts more than one token before or after every text")
            return next(iter(before), None), next(iter(after), None)
    return None, None


def _adds(
    role: str,
    settings: Mapping[str, Any],
    by_template: str | None,
    tokens: Sequence[str],
    special: Mapping[str, int],
) -> bool:
    """Whether every text begins (`bos`) or ends (`eos`) with that token, as in Transformers."""
    flag = settings.get(f"add_{role}_token")
    if isinstance(flag, bool):
        return flag and role in special
    if by_template is not None and (role not in special or tokens[special[role]] != by_template):
        raise _refused(f"puts {by_template!r} around every text, which is not its {role}_token")
    return by_template is not None


def _chat_template(directory: Path, settings: Mapping[str, Any]) -> str | None:
    """The template in a file of its own, else the one in the settings, as Transformers looks."""
    path = directory / CHAT_TEMPLATE_NAME
    if path.is_file():
        return path.read_text(encoding="utf-8") or None
    given = settings.get("chat_template")
    if isinstance(given, list):
        given = {entry.get("name"): entry.get("template") for entry in given}.get("default")
    return given if isinstance(given, str) and given else None


def _unsupported(reason: str) -> ModelRefused:
    return _refused(reason, "Convert the model with llama.cpp's own converter; import that file.")


def _refused(reason: str, next_step: str = "Use a byte-level BPE tokenizer.") -> ModelRefused:
    return ModelRefused(f"The model's tokenizer {reason}.", next_step=next_step)
