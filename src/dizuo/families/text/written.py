"""An answer as llama.cpp writes it: what its stream says, piece by piece. Light."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.families.errors import ContextOverflow, GenerationFailed
from dizuo.families.text.calibration import Token, token_of


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of an answer as it is written, with what llama.cpp says about its tokens, in the
    form of OpenAI's `logprobs.content`."""

    text: str
    logprobs: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Written:
    """A whole answer. `finish_reason` is OpenAI's; `cancelled` that nobody wanted the rest."""

    pieces: list[Piece] = field(default_factory=list)
    finish_reason: str = "stop"
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    cancelled: bool = False

    @property
    def ended(self) -> bool:
        """Whether the model ended it."""
        return self.finish_reason == "stop" and not self.cancelled

    @property
    def text(self) -> str:
        """What was written."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def logprobs(self) -> list[Mapping[str, Any]]:
        """Of all tokens that llama.cpp told about."""
        return [one for piece in self.pieces for one in piece.logprobs]

    @property
    def tokens(self) -> list[Token]:
        """The same as figures for the confidence."""
        return [
            token_of(one["logprob"], [other["logprob"] for other in one["top_logprobs"]])
            for one in self.logprobs
        ]


def take_in(
    chunk: Mapping[str, Any],
    written: Written,
    emit: Callable[[Piece], bool],
    waits: Callable[[], bool],
) -> bool:
    """Add what a chunk of the stream says; returns whether the rest is wanted.

    Args:
        chunk: what llama.cpp says.
        written: what it is added to.
        emit: told each piece; False if the rest is not wanted.
        waits: asked while the prompt is read; the same.

    Raises:
        DizuoError: the chunk tells of a failure.
    """
    if "error" in chunk:
        raise failure(chunk["error"])
    if "prompt_progress" in chunk:
        return waits()
    if usage := chunk.get("usage"):
        written.num_prompt_tokens = usage["prompt_tokens"]
        written.num_tokens = usage["completion_tokens"]
    wanted = True
    for choice in chunk["choices"]:
        written.finish_reason = choice["finish_reason"] or written.finish_reason
        text = choice["delta"].get("content") if "delta" in choice else choice["text"]
        logprobs = (choice.get("logprobs") or {}).get("content", [])
        if text or logprobs:
            piece = Piece(text or "", logprobs)
            written.pieces.append(piece)
            wanted = emit(piece) and wanted
    return wanted


def failure(error: Mapping[str, Any]) -> DizuoError:
    """An error of llama.cpp's server as one of ours."""
    said = str(error.get("message", ""))[:300]
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflow(
            f"The prompt has {error['n_prompt_tokens']} tokens; this model reads "
            f"{error['n_ctx']} at once, its answer included.",
            next_step="Shorten the messages.",
        )
    if error.get("code") == 400:
        return InvalidInput(
            f"The engine refuses the request: {said.rstrip('.')}.",
            next_step="Correct what it names.",
        )
    return GenerationFailed(
        f"The model could not answer: {said.rstrip('.')}.",
        next_step="Ask again; if that fails too, fetch or export the stack again.",
    )
