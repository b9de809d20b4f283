"""llama.cpp in this process, by xllamacpp: a base and fixed adapters, chosen per call. Light.

What its server does unasked is undone here: the prompt cache in memory is off, because its entries
cross from one set of adapters to another; its own HTTP port wants a random key; an adapter number
that it does not know would be answered by the bare base, so only numbers given out here reach it.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import xllamacpp
from numpy.typing import NDArray

from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.families.base import Distribution
from dizuo.families.errors import ContextOverflow, GenerationFailed, LayerRefused
from dizuo.families.text import excerpts
from dizuo.families.text.calibration import TOP_LOGPROBS, Token, token_of
from dizuo.families.text.conformity import label_fault
from dizuo.families.text.messages import (
    TEMPLATE_ARGUMENTS,
    answer_of,
    prompt_text,
    with_system,
)
from dizuo.families.text.protocol import Ask
from dizuo.families.text.pulse import Pulse
from dizuo.families.text.schema import ANY_OBJECT, grammar
from dizuo.families.text.slots import BATCH_TOKENS, SLOT_TOKENS, SLOTS
from dizuo.families.text.turns import Turns

EMBEDDED_CHARACTERS = 500
"""Of a prompt's beginning; never more tokens than are read at a time."""
EMBEDDED_WHEN_BUSY = 16
"""One prompt in so many is embedded while other calls want llama.cpp, since that costs as much as
reading it once more; a site that is never idle still finds what is new."""
NUM_EXPECTED = 50
"""How many of the next tokens are told, the likeliest."""
CALLS_PER_TURN = 2 * SLOTS
"""Answers of one set of adapters that are begun while those of another wait."""
DEFAULTS: Mapping[str, float] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""How tokens are chosen where a request says nothing: by the model's own probabilities."""
_EMBEDDING = "embedding"
"""The kind of turn; those of answers are sets of adapters."""
_FORCED = "!"
"""A character that is a token of its own in every byte-level vocabulary."""
_FORCING = 1e9
_SCHEMAS_REMEMBERED = 1000
_MOST_TOKEN_BYTES = 64
"""Of a token on average; longer ones are runs of spaces or dashes."""
_RANDOM_SEED = (1 << 32) - 1
"""What llama.cpp takes for no seed."""
_FAR_LIKELIER = 100.0
"""Added to a token's logit."""
_SAID = "dizuo"
"""What excerpts are of where a schema is tried."""


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


@dataclass(frozen=True, slots=True)
class Manner:
    """How one call is answered: which adapters are on, by number, and the layer's defaults."""

    adapters: frozenset[int]
    max_tokens: int
    system: str | None = None
    schema: Mapping[str, Any] | None = None


class Llama:
    """A base with adapters, open. Calls may come from any number of threads; those with the same
    adapters are answered together, see `Turns`.

    Args:
        model: the GGUF file of the base.
        adapters: the LoRA GGUF files, numbered from 0.
        context_tokens: what the model was trained to read at once.
        threads: how many threads compute.

    Raises:
        LayerRefused: llama.cpp opens one of the files not.
    """

    def __init__(
        self, model: Path, adapters: Sequence[Path], *, context_tokens: int, threads: int
    ) -> None:
        self.slot_tokens = min(context_tokens, SLOT_TOKENS)
        self._num_adapters = len(adapters)
        self._tried: dict[str, bool] = {}
        self._turns = Turns(SLOTS, CALLS_PER_TURN)
        self._busy_texts = count(1)
        self._pulse = Pulse()
        for path in (model, *adapters):
            if not path.is_file():
                raise _cannot_open(path)
        try:
            self._server = xllamacpp.Server(self._parameters(model, adapters, threads))
        except RuntimeError as error:
            raise _cannot_open(model) from error
        # A server that is dropped before its loop has run waits for that loop for ever.
        self.embedding_size = int(self.embed("dizuo").size)
        """Of the base's embeddings."""

    def _parameters(self, model: Path, adapters: Sequence[Path], threads: int) -> Any:
        wanted = xllamacpp.CommonParams()
        wanted.model.path = str(model)
        wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(p), 0.0) for p in adapters]
        wanted.n_ctx = self.slot_tokens * SLOTS
        wanted.n_parallel = SLOTS
        wanted.n_batch = wanted.n_ubatch = BATCH_TOKENS
        wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads
        wanted.cache_ram_mib = 0
        wanted.embedding = True
        wanted.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        wanted.force_pure_content_parser = True
        wanted.fit_params = False
        wanted.verbosity = -1
        wanted.api_keys = [secrets.token_urlsafe(32)]
        return wanted

    def write(
        self,
        ask: Ask,
        manner: Manner,
        emit: Callable[[Piece], bool],
        waits: Callable[[], bool] = lambda: True,
    ) -> Written:
        """Write one answer.

        Args:
            ask: the question.
            manner: whose answer it is.
            emit: told each piece as it is written; False ends the answer there.
            waits: asked every second before it begins, each time a part of the prompt has been
                read, and meanwhile from a thread of its own, see `Pulse`; False ends the answer as
                soon as llama.cpp next says something.

        Raises:
            ContextOverflow: the prompt is too long for the model.
            InvalidInput: llama.cpp refuses the request, or cannot enforce its schema.
            GenerationFailed: it fails.
        """
        self._refuse_far_too_long(ask)
        written = Written()
        failures: list[DizuoError] = []  # an exception must not pass through native code

        def take(told: Any) -> bool:
            self._pulse.beat()
            if unwanted.is_set():
                written.cancelled = True
                return True
            try:
                for chunk in told if isinstance(told, list) else [told]:
                    written.cancelled |= not _take(chunk, written, emit, waits)
            except DizuoError as error:
                failures.append(error)
            return written.cancelled or bool(failures)

        handle = (
            self._server.handle_completions
            if ask.messages is None
            else self._server.handle_chat_completions
        )
        schema = _schema(ask, manner)
        if schema is not None and not self._require_enforced(schema, waits):
            written.cancelled = True
            return written
        body = self._body(ask, manner, schema)
        with self._turns.turn(manner.adapters, waits) as admitted:
            written.cancelled = not admitted
            if admitted:
                with self._pulse.felt(waits) as unwanted:
                    handle(body, take)
        if failures:
            raise failures[0]
        if schema is not None and written.ended and not ask.sampling.stop:
            _require_kept(written, schema, _said(ask))
        return written

    def _refuse_far_too_long(self, ask: Ask) -> None:
        """Refuse what cannot fit before anyone waits for it: llama.cpp reads all of a text as
        tokens before it finds that there are too many.

        Raises:
            ContextOverflow: the texts have too many bytes.
        """
        texts = (
            [str(ask.prompt)]
            if ask.messages is None
            else [message["content"] for message in ask.messages]
        )
        num_bytes = sum(len(text.encode()) for text in texts)
        if num_bytes > self.slot_tokens * _MOST_TOKEN_BYTES:
            raise ContextOverflow(
                f"The prompt has {num_bytes:,} bytes; this model reads {self.slot_tokens:,} tokens "
                "at once, its answer included.",
                next_step="Shorten the messages.",
            )

    def _body(self, ask: Ask, manner: Manner, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        sampling = ask.sampling
        body: dict[str, Any] = {
            "stream": True,
            "return_progress": True,
            "stream_options": {"include_usage": True},
            "max_tokens": sampling.max_tokens or manner.max_tokens,
            "lora": self._adapters_on(manner.adapters),
            **DEFAULTS,
            **sampling.numbers,
        }
        wanted = max(TOP_LOGPROBS, ask.top_logprobs or 0)
        if ask.messages is not None:
            body["messages"] = with_system(ask.messages, manner.system)
            body["chat_template_kwargs"] = TEMPLATE_ARGUMENTS
            body |= {"logprobs": True, "top_logprobs": wanted}
        else:
            body |= {"prompt": ask.prompt, "logprobs": wanted}
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            body["seed"] = sampling.seed % _RANDOM_SEED
        if schema is not None:
            body["grammar"] = grammar(schema, _said(ask))
        return body

    def expect(self, ids: Sequence[int], adapters: frozenset[int]) -> Distribution:
        """The NUM_EXPECTED likeliest tokens after those with these numbers.

        One token is written to be told them, and that is always the same whole character: of a
        token that leaves a character unfinished llama.cpp tells nothing. What it tells is the
        model's own, before any such force.

        Raises:
            ContextOverflow: there are more tokens than the model reads.
            GenerationFailed: llama.cpp fails.
        """
        told: list[Any] = []
        body = {
            "prompt": [list(ids)],
            "stream": False,
            "max_tokens": 1,
            "logprobs": NUM_EXPECTED,
            "logit_bias": [[_FORCED, _FORCING]],
            "temperature": 0.0,
            "lora": self._adapters_on(adapters),
        }

        def take(chunk: Any) -> bool:
            told.append(chunk)
            return False

        with self._turns.turn(adapters, lambda: True):
            self._server.handle_completions(body, take)
        (chunk,) = told
        if "error" in chunk:
            raise _failed(chunk["error"])
        tokens = ((chunk["choices"][0].get("logprobs") or {}).get("content") or [{}])[0]
        likeliest = tokens.get("top_logprobs", [])
        if not likeliest or not all(math.isfinite(one["logprob"]) for one in likeliest):
            raise GenerationFailed(
                "The model tells no probabilities of the next token.",
                next_step="Export the stack again from weights that are finite numbers.",
            )
        return Distribution(
            tuple(one["id"] for one in likeliest),
            tuple(min(one["logprob"], 0.0) for one in likeliest),
        )

    def _require_enforced(self, schema: Mapping[str, Any], waits: Callable[[], bool]) -> bool:
        """Whether the answer is still wanted once its schema has been tried."""
        enforced = self._try(grammar(schema, _SAID), waits)
        if enforced is False:
            raise InvalidInput(
                "The engine cannot hold an answer to this schema.",
                next_step="Leave out alternatives that overlap, and parts that contradict others.",
            )
        return enforced is not None

    def enforces(self, schema: Mapping[str, Any]) -> bool:
        """Whether answers are held to a schema.

        llama.cpp leaves out a grammar that it cannot parse and says nothing. So each is tried once:
        a token that no object begins with is made by far the likeliest, and must not come.

        Raises:
            GenerationFailed: llama.cpp fails.
        """
        return bool(self._try(grammar(schema, _SAID), lambda: True))

    def _try(self, grammar_text: str, waits: Callable[[], bool]) -> bool | None:
        """Whether a grammar is enforced; None if `waits` gave up before that was known. It is tried
        in a turn of the bare base, so never beside answers of other adapters."""
        enforced = self._tried.get(grammar_text)
        if enforced is not None:
            return enforced
        with self._turns.turn(frozenset(), waits) as admitted:
            if not admitted:
                return None
            enforced = self._begins_object(grammar_text)
        if len(self._tried) >= _SCHEMAS_REMEMBERED:
            self._tried.clear()  # by other threads too, at any time
        self._tried[grammar_text] = enforced
        return enforced

    def _begins_object(self, grammar_text: str) -> bool:
        body = {
            "prompt": "a",
            "max_tokens": 1,
            "temperature": 0,
            "lora": self._adapters_on(frozenset()),
            "grammar": grammar_text,
            "logit_bias": [["x", _FAR_LIKELIER]],
        }
        answer = self._server.handle_completions(body)
        if "error" in answer:
            raise _failed(answer["error"])
        return str(answer["choices"][0]["text"]).lstrip().startswith("{")

    def _adapters_on(self, numbers: frozenset[int]) -> list[dict[str, float]]:
        assert numbers <= set(range(self._num_adapters)), "numbers are given out here"
        return [
            {"id": number, "scale": float(number in numbers)}
            for number in range(self._num_adapters)
        ]

    def embed_if_free(
        self, text: str, alive: Callable[[], bool] = lambda: True
    ) -> NDArray[np.float32] | None:
        """As `embed` where no other call wants llama.cpp; else None, but for one text in
        EMBEDDED_WHEN_BUSY whose turn comes within a second: an answer waits for this.

        Args:
            text: what is embedded.
            alive: called while llama.cpp is at work on it, see `Pulse`.
        """
        if self._turns.taken() and next(self._busy_texts) % EMBEDDED_WHEN_BUSY:
            return None
        with self._turns.turn(_EMBEDDING, lambda: False, next_turn=True) as admitted:
            if not admitted:
                return None
            with self._pulse.felt(alive):
                return self._embedding(text)

    def embed(self, text: str) -> NDArray[np.float32]:
        """The bare base's embedding of a text, unit norm, shape (d)."""
        with self._turns.turn(_EMBEDDING, lambda: True, next_turn=True):
            return self._embedding(text)

    def _embedding(self, text: str) -> NDArray[np.float32]:
        answer = self._server.handle_embeddings({"input": text[:EMBEDDED_CHARACTERS] or " "})
        if "error" in answer:
            raise _failed(answer["error"])
        return np.asarray(answer["data"][0]["embedding"], dtype=np.float32)


def _said(ask: Ask) -> str:
    return str(ask.prompt) if ask.messages is None else prompt_text(ask.messages)


def _require_kept(written: Written, schema: Mapping[str, Any], said: str) -> None:
    """See that an answer is what its schema says: each with excerpts has a grammar of its own, and
    llama.cpp may leave it out.

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


def _schema(ask: Ask, manner: Manner) -> Mapping[str, Any] | None:
    """What the answer is held to: the caller's schema, or else the layer's."""
    sampling = ask.sampling
    schema = sampling.schema or (ANY_OBJECT if sampling.any_json else None)
    if schema is None and ask.messages is not None and not sampling.free:
        schema = manner.schema
    return schema


def _take(
    chunk: Mapping[str, Any],
    written: Written,
    emit: Callable[[Piece], bool],
    waits: Callable[[], bool],
) -> bool:
    """Add what a chunk of the stream says; returns whether the rest is wanted."""
    if "error" in chunk:
        raise _failed(chunk["error"])
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


def _failed(error: Mapping[str, Any]) -> DizuoError:
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


def _cannot_open(path: Path) -> LayerRefused:
    return LayerRefused(
        f"llama.cpp cannot open {path.name} of {path.parent.name}, or an adapter on it.",
        next_step="Fetch or build the layers again.",
    )
