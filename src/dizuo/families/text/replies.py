"""OpenAI's bodies of answers: whole, and chunk by chunk. Light.

Beside OpenAI's keys an answer tells its `confidence` (0 to 1, calibrated) and the `stack_digest`
and `model_version` that gave it; a client that does not know them passes them over.
https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dizuo.families.base import Observation
from dizuo.families.text.protocol import Ask
from dizuo.families.text.written import Piece, Written


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: the name served, its version, and the digest of the stack."""

    name: str
    version: int
    digest: str


@dataclass(slots=True)
class Reply:
    """One answer being told. `number` is its id, `created` its time in seconds."""

    identity: Identity
    ask: Ask
    number: str
    created: int
    _begun: bool = field(default=False, init=False)

    @property
    def _chat(self) -> bool:
        return self.ask.messages is not None

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.number if self._chat else self.number.replace("chatcmpl", "cmpl"),
            "object": kind,
            "created": self.created,
            "model": self.identity.name,
        }

    def _stamp(self, seen: Observation) -> dict[str, Any]:
        return {
            "confidence": round(seen.confidence, 6),
            "model_version": str(self.identity.version),
            "stack_digest": self.identity.digest,
        }

    def whole(self, written: Written, seen: Observation) -> dict[str, Any]:
        """The body of an answer that was not streamed."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": written.finish_reason}
        if self._chat:
            choice["message"] = {"role": "assistant", "content": written.text, "refusal": None}
            choice["logprobs"] = self._chat_logprobs(written.logprobs)
        else:
            choice["text"] = written.text
            choice["logprobs"] = self._text_logprobs(written.logprobs)
        kind = "chat.completion" if self._chat else "text_completion"
        return {
            **self._head(kind),
            "choices": [choice],
            "usage": _usage(written),
            **self._stamp(seen),
        }

    def chunk(self, piece: Piece) -> dict[str, Any]:
        """A piece of a streamed answer."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": None}
        if self._chat:
            delta: dict[str, Any] = {"content": piece.text}
            if not self._begun:
                delta["role"] = "assistant"
            choice["delta"] = delta
            choice["logprobs"] = self._chat_logprobs(piece.logprobs)
        else:
            choice["text"] = piece.text
            choice["logprobs"] = self._text_logprobs(piece.logprobs)
        self._begun = True
        return {**self._head(self._chunk_kind), "choices": [choice]}

    def last_chunks(self, written: Written, seen: Observation) -> list[dict[str, Any]]:
        """What ends a streamed answer: why it ended, and its usage if that was asked for."""
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": written.finish_reason,
            "logprobs": None,
        }
        if self._chat:
            choice["delta"] = {}
        else:
            choice["text"] = ""
        head = self._head(self._chunk_kind)
        chunks = [{**head, "choices": [choice], **self._stamp(seen)}]
        if self.ask.include_usage:
            chunks.append({**head, "choices": [], "usage": _usage(written)})
        return chunks

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _chat_logprobs(self, told: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        wanted = self.ask.top_logprobs
        if wanted is None:
            return None
        return {
            "content": [
                {**_token(one), "top_logprobs": [_token(o) for o in one["top_logprobs"][:wanted]]}
                for one in told
            ],
            "refusal": None,
        }

    def _text_logprobs(self, told: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        wanted = self.ask.top_logprobs
        if wanted is None:
            return None
        tops = [{o["token"]: o["logprob"] for o in one["top_logprobs"][:wanted]} for one in told]
        return {
            "tokens": [one["token"] for one in told],
            "token_logprobs": [one["logprob"] for one in told],
            "top_logprobs": tops,
        }


def _token(one: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one[key] for key in ("token", "logprob", "bytes")}


def _usage(written: Written) -> dict[str, int]:
    return {
        "prompt_tokens": written.num_prompt_tokens,
        "completion_tokens": written.num_tokens,
        "total_tokens": written.num_prompt_tokens + written.num_tokens,
    }
