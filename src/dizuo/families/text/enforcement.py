"""Whether llama.cpp holds answers to a schema: tried before, and looked at afterwards. Light.

It leaves out a grammar that it cannot parse and says nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput
from dizuo.families.errors import GenerationFailed
from dizuo.families.text import excerpts
from dizuo.families.text.conformity import label_fault
from dizuo.families.text.messages import answer_of
from dizuo.families.text.schema import grammar
from dizuo.families.text.turns import Turns
from dizuo.families.text.written import Written, failure

_SCHEMAS_REMEMBERED = 1000
_FAR_LIKELIER = 100.0
"""Added to a token's logit."""
_SAID = "dizuo"
"""What excerpts are of where a schema is tried."""

Complete = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Answers a completion's body, in one piece."""


class Enforcement:
    """Tries each schema once.

    Args:
        complete: asks llama.cpp, with no adapter on.
        turns: whose turn it is there; a trial takes one of the bare base, so it is never beside
            answers of other adapters.
    """

    def __init__(self, complete: Complete, turns: Turns) -> None:
        self._complete = complete
        self._turns = turns
        self._lock = threading.Lock()
        self._tried: dict[str, bool] = {}  # by the digest of the grammar, used last at the end

    def require(self, schema: Mapping[str, Any], waits: Callable[[], bool]) -> bool:
        """Whether the answer is still wanted once its schema has been tried.

        Raises:
            InvalidInput: answers cannot be held to it.
            GenerationFailed: llama.cpp fails.
        """
        enforced = self._try(grammar(schema, _SAID), waits)
        if enforced is False:
            raise InvalidInput(
                "The engine cannot hold an answer to this schema.",
                next_step="Leave out alternatives that overlap, and parts that contradict others.",
            )
        return enforced is not None

    def holds(self, schema: Mapping[str, Any]) -> bool:
        """Whether answers are held to a schema.

        Raises:
            GenerationFailed: llama.cpp fails.
        """
        return bool(self._try(grammar(schema, _SAID), lambda: True))

    def _try(self, grammar_text: str, waits: Callable[[], bool]) -> bool | None:
        """Whether a grammar is enforced; None if `waits` gave up before that was known."""
        digest = sha256_bytes(grammar_text.encode())
        with self._lock:
            enforced = self._tried.pop(digest, None)
            if enforced is not None:
                self._tried[digest] = enforced
                return enforced
        with self._turns.turn(frozenset(), waits) as admitted:
            if not admitted:
                return None
            enforced = self._begins_object(grammar_text)
        with self._lock:
            self._tried[digest] = enforced
            if len(self._tried) > _SCHEMAS_REMEMBERED:
                del self._tried[next(iter(self._tried))]
        return enforced

    def _begins_object(self, grammar_text: str) -> bool:
        """A token that no object begins with is made by far the likeliest, and must not come."""
        answer = self._complete(
            {
                "prompt": "a",
                "max_tokens": 1,
                "temperature": 0,
                "grammar": grammar_text,
                "logit_bias": [["x", _FAR_LIKELIER]],
            }
        )
        if "error" in answer:
            raise failure(answer["error"])
        return str(answer["choices"][0]["text"]).lstrip().startswith("{")


def require_kept(written: Written, schema: Mapping[str, Any], said: str) -> None:
    """See that an answer is what its schema says: each with excerpts has a grammar of its own, and
    llama.cpp may leave it out. Patterns are left to it: a caller's may take for ever to compare.

    Raises:
        GenerationFailed: it is not.
    """
    answer = answer_of(written.text)
    fault = label_fault(answer, schema, called="the answer") or excerpts.answer_fault(
        answer, schema, said
    )
    if fault:
        raise GenerationFailed(
            f"The model did not keep to its schema: {fault}.",
            next_step="Shorten the messages, and ask again.",
        )
