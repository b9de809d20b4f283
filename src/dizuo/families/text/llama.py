"""llama.cpp in this process, by xllamacpp: a base and fixed adapters, chosen per call. Light.

What its server does unasked is undone here: the prompt cache in memory is off, because its entries
cross from one set of adapters to another; its own HTTP port wants a random key; an adapter number
that it does not know would be answered by the bare base, so only numbers given out here reach it.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import xllamacpp
from numpy.typing import NDArray

from dizuo.core.errors import DizuoError
from dizuo.core.memory import free_bytes
from dizuo.families.base import Distribution
from dizuo.families.errors import ContextOverflow, GenerationFailed, LayerRefused
from dizuo.families.text import footprint
from dizuo.families.text.calibration import TOP_LOGPROBS
from dizuo.families.text.enforcement import Enforcement, require_kept
from dizuo.families.text.messages import TEMPLATE_ARGUMENTS, prompt_text, with_system
from dizuo.families.text.protocol import Ask
from dizuo.families.text.pulse import Pulse
from dizuo.families.text.schema import ANY_OBJECT, grammar
from dizuo.families.text.slots import BATCH_TOKENS, SLOTS
from dizuo.families.text.turns import Turns
from dizuo.families.text.written import Piece, Written, failure, take_in

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
_MOST_TOKEN_BYTES = 64
"""Of a token on average; longer ones are runs of spaces or dashes."""
_RANDOM_SEED = (1 << 32) - 1
"""What llama.cpp takes for no seed."""


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
        context_tokens: what it reads and writes at once, in each of SLOTS answers.
        threads: how many threads compute.

    Raises:
        LayerRefused: llama.cpp opens one of the files not, or has too little memory for it.
    """

    def __init__(
        self, model: Path, adapters: Sequence[Path], *, context_tokens: int, threads: int
    ) -> None:
        self.slot_tokens = context_tokens
        self._num_adapters = len(adapters)
        self._turns = Turns(SLOTS, CALLS_PER_TURN)
        self._busy_texts = count(1)
        self._pulse = Pulse()
        self._enforcement = Enforcement(self._complete_bare, self._turns)
        for path in (model, *adapters):
            if not path.is_file():
                raise _cannot_open(path)
        try:
            self._server = xllamacpp.Server(self._parameters(model, adapters, threads))
        except RuntimeError as error:
            raise _too_large(model, context_tokens) or _cannot_open(model) from error
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
                    written.cancelled |= not take_in(chunk, written, emit, waits)
            except DizuoError as error:
                failures.append(error)
            return written.cancelled or bool(failures)

        handle = (
            self._server.handle_completions
            if ask.messages is None
            else self._server.handle_chat_completions
        )
        schema = _schema(ask, manner)
        if schema is not None and not self._enforcement.require(schema, waits):
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
            require_kept(written, schema, _said(ask))
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
            raise failure(chunk["error"])
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

    def enforces(self, schema: Mapping[str, Any]) -> bool:
        """Whether answers are held to a schema.

        Raises:
            GenerationFailed: llama.cpp fails.
        """
        return self._enforcement.holds(schema)

    def _complete_bare(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._server.handle_completions(
            {**body, "lora": self._adapters_on(frozenset())}
        )
        return told

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
            raise failure(answer["error"])
        return np.asarray(answer["data"][0]["embedding"], dtype=np.float32)


def _said(ask: Ask) -> str:
    return str(ask.prompt) if ask.messages is None else prompt_text(ask.messages)


def _schema(ask: Ask, manner: Manner) -> Mapping[str, Any] | None:
    """What the answer is held to: the caller's schema, or else the layer's."""
    sampling = ask.sampling
    schema = sampling.schema or (ANY_OBJECT if sampling.any_json else None)
    if schema is None and ask.messages is not None and not sampling.free:
        schema = manner.schema
    return schema


def _too_large(model: Path, context_tokens: int) -> LayerRefused | None:
    """Why llama.cpp could not open a model, where that was the memory: it does not say."""
    try:
        needed, available = footprint.opening_bytes(model, context_tokens), free_bytes()
    except LayerRefused:
        return None
    if needed <= available:
        return None
    return LayerRefused(
        f"llama.cpp cannot open {model.name} of {model.parent.name}: with {context_tokens:,} "
        f"tokens in each of {SLOTS} answers it takes about {needed / 1e9:.1f} GB of memory, and "
        f"{available / 1e9:.1f} GB are free here.",
        next_step=footprint.SMALLER,
    )


def _cannot_open(path: Path) -> LayerRefused:
    return LayerRefused(
        f"llama.cpp cannot open {path.name} of {path.parent.name}, or an adapter on it.",
        next_step="Fetch or build the layers again.",
    )
