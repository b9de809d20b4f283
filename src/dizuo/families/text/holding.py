"""Answers in memory that are held to a schema, by the library that llama.cpp itself uses. Heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from torch import Tensor

from dizuo.core.errors import InvalidInput
from dizuo.families.text.schema import by_name, grammar
from dizuo.families.text.tokens import Tokens


class Rule:
    """A schema, for the tokens of one base.

    Raises:
        InvalidInput: the schema cannot be enforced.
    """

    def __init__(self, tokens: Tokens, schema: Mapping[str, Any]) -> None:
        self._vocabulary = LLTokenizer(TokenizerWrapper(_Vocabulary(tokens)))
        self._schema = by_name(schema)
        self.hold("")

    def hold(self, said: str) -> Hold:
        """What holds one answer to what users said, from its first token."""
        return Hold(LLMatcher(self._vocabulary, grammar(self._schema, said), log_level=0))


class _Vocabulary:
    """Tokens as llguidance asks for them: the bytes of each, and how a text is cut into them."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.tokens = [tokens.spelled(token) for token in range(len(tokens.tokenizer))]
        self.special_token_ids = [token for token, told in enumerate(self.tokens) if not told]
        self.eos_token_id = tokens.end_of_turn
        self.bos_token_id = None

    def __call__(self, text: str) -> list[int]:
        return self._tokens.plain(text)


class Hold:
    """Where an answer stands that a grammar holds."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self._require_sound()

    def take(self, logprobs: Tensor) -> int:
        """Take the likeliest token that may come next, of log-probabilities, shape (vocabulary).

        Raises:
            InvalidInput: the grammar is too large to follow.
        """
        bias = np.frombuffer(self._matcher.compute_logit_bias(), dtype=np.uint8)
        allowed = torch.zeros_like(logprobs, dtype=torch.bool)
        allowed[: bias.size] = torch.from_numpy(bias != 0).to(allowed.device)
        taken = int(logprobs.masked_fill(~allowed, -torch.inf).argmax())
        self._matcher.consume_token(taken)
        self._require_sound()
        return taken

    def _require_sound(self) -> None:
        if self._matcher.is_error():
            reason = self._matcher.get_error().splitlines()[0][:200]
            raise InvalidInput(
                f"Answers cannot be held to task.schema: {reason}.",
                next_step="Leave out alternatives that overlap, and parts that contradict others.",
            )
