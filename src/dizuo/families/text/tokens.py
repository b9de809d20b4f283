"""How a base reads and writes: messages to token ids, written ids to text. Heavy.

What the engine does with the same files is done here: the chat template renders messages, with a
prompt for the assistant's turn at the end and thinking off; special tokens in a text are read as
such; an answer ends with the token that ends the assistant's turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from dizuo.families.errors import LayerRefused
from dizuo.families.text.gguf_tokenizer import BYTE_SYMBOL, ENDS_KNOWN_BY_TEXT
from dizuo.families.text.layer import (
    CHAT_TEMPLATE_NAME,
    GENERATION_CONFIG_NAME,
    TOKENIZER_CONFIG_NAME,
    TOKENIZER_NAME,
)
from dizuo.families.text.messages import TEMPLATE_ARGUMENTS, Message
from dizuo.families.text.tokenizer import END_OF_TEXT

_BYTES = {symbol: byte for byte, symbol in enumerate(BYTE_SYMBOL)}
_SAID = "dizuo"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenizer with its chat template.

    `end_of_turn` ends an answer, `end_of_text` a plain text; generation stops at any of `stops`.
    """

    tokenizer: PreTrainedTokenizerFast
    end_of_turn: int
    end_of_text: int
    stops: frozenset[int]
    begins: tuple[int, ...]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens after which the assistant answers.

        Raises:
            LayerRefused: the template cannot render them.
        """
        ids = self._encode(_rendered(self.tokenizer, messages), special=False)
        begun = tuple(ids[: len(self.begins)]) == self.begins
        return ids if begun else [*self.begins, *ids]

    def answer(self, text: str) -> list[int]:
        """An answer to learn, its end included."""
        return [*self._encode(text, special=False), self.end_of_turn]

    def text(self, text: str) -> list[int]:
        """A plain text to learn, its end included."""
        return [*self._encode(text, special=True), self.end_of_text]

    def plain(self, text: str) -> list[int]:
        """A text as the engine reads one to embed."""
        return self._encode(text, special=True)

    def _encode(self, text: str, *, special: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids

    def spelled(self, token: int) -> bytes:
        """The bytes that a written token adds to the answer; none for a special token."""
        text = self.tokenizer.convert_ids_to_tokens(token)
        added = self.tokenizer.added_tokens_decoder.get(token)
        if text is None or (added is not None and added.special):
            return b""
        if added is not None:
            return str(text).encode()
        return bytes(_BYTES[symbol] for symbol in text)


def read_tokens(directory: Path) -> Tokens:
    """The tokens of the base in a folder.

    Raises:
        LayerRefused: a file of the tokenizer cannot be used.
    """
    try:
        tokenizer = Tokenizer.from_file(str(directory / TOKENIZER_NAME))
        settings = json.loads((directory / TOKENIZER_CONFIG_NAME).read_bytes())
        template = (directory / CHAT_TEMPLATE_NAME).read_text(encoding="utf-8")
    except Exception as error:  # tokenizers raises nothing finer
        raise LayerRefused(
            f"The base in {directory.name} has no tokenizer that can be read.",
            next_step="Fetch or build the base again.",
        ) from error
    path = directory / GENERATION_CONFIG_NAME
    generation = json.loads(path.read_bytes()) if path.is_file() else {}
    return tokens_of(tokenizer, template, settings, generation)


def tokens_of(
    tokenizer: Tokenizer,
    template: str,
    settings: Mapping[str, Any],
    generation: Mapping[str, Any] | None = None,
) -> Tokens:
    """The tokens of a tokenizer in memory.

    Args:
        tokenizer: what `tokenizer.json` holds.
        template: the chat template.
        settings: what `tokenizer_config.json` holds; only its special tokens matter.
        generation: what `generation_config.json` holds; only its ends of answers matter.

    Raises:
        LayerRefused: nothing ends an answer, or the template cannot be rendered.
    """
    roles = {role: _text_of(settings.get(role)) for role in ("bos_token", "eos_token", "pad_token")}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=template,
        padding_side="right",
        **{role: text for role, text in roles.items() if text is not None},
    )
    if fast.pad_token_id is None:
        fast.pad_token = fast.eos_token
    ids: Mapping[str, int] = fast.get_vocab()
    stops = {ids[text] for text in (*ENDS_KNOWN_BY_TEXT, fast.eos_token) if text in ids}
    stops |= set(_numbers((generation or {}).get("eos_token_id")))
    end_of_turn = _end_of_turn(fast, stops)
    end_of_text = ids.get(END_OF_TEXT, fast.eos_token_id)
    begins: list[int] = fast("", add_special_tokens=True)["input_ids"]
    return Tokens(
        tokenizer=fast,
        end_of_turn=end_of_turn,
        end_of_text=end_of_turn if end_of_text is None else end_of_text,
        stops=frozenset(stops | {end_of_turn}),
        begins=tuple(begins),
    )


def _text_of(named: Any) -> str | None:
    text = named.get("content") if isinstance(named, Mapping) else named
    return text if isinstance(text, str) else None


def _numbers(value: Any) -> Iterable[int]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)]


def _end_of_turn(tokenizer: PreTrainedTokenizerFast, stops: set[int]) -> int:
    """The first of the ends that the template writes after an assistant's message."""
    asked = [{"role": "user", "content": _SAID}]
    answered = [*asked, {"role": "assistant", "content": _SAID}]
    whole = _rendered(tokenizer, answered, prompted=False)
    rest = whole.rpartition(_SAID)[2]
    written: list[int] = tokenizer(rest, add_special_tokens=False)["input_ids"]
    found = next((token for token in written if token in stops), tokenizer.eos_token_id)
    if found is None:
        raise LayerRefused(
            "The base's tokenizer names no token that ends an answer.",
            next_step="Set eos_token in its tokenizer_config.json and import the model again.",
        )
    return int(found)


def _rendered(
    tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], *, prompted: bool = True
) -> str:
    try:
        text: str = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=prompted, **TEMPLATE_ARGUMENTS
        )
    except Exception as error:  # Jinja raises what a template does wrong
        reason = re.split(r"\n|\. |\.$", str(error))[0]
        raise LayerRefused(
            f"The base's chat template cannot write these messages: {reason[:200]}.",
            next_step="Check the roles and their order against the model's documentation.",
        ) from error
    return text
