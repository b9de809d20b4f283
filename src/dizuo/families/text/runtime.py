"""Text stacks on llama.cpp: one base, the adapters of all stacks, chosen by request. Light.

A stack is the set of its layers' adapters; the engine holds each adapter once, however many stacks
it belongs to. Answers carry a calibrated confidence, and how new the prompt looks to the base.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import xllamacpp

from dizuo.artifacts.model import StackFiles
from dizuo.families.base import Answer, Distribution, Observation
from dizuo.families.errors import LayerRefused, UnknownStack
from dizuo.families.text import calibration, protocol, replies
from dizuo.families.text.calibration import Calibration, figures
from dizuo.families.text.layer import (
    ADAPTER_GGUF_NAME,
    MODEL_GGUF_NAME,
    Manifest,
    check_engine,
    read_gguf_facts,
    read_schema,
    read_stack,
)
from dizuo.families.text.llama import Llama, Manner
from dizuo.families.text.messages import answer_of, prompt_text
from dizuo.families.text.protocol import Ask
from dizuo.families.text.slots import SLOTS
from dizuo.families.text.written import Piece, Written

Emit = Callable[[Mapping[str, Any] | None], bool]
_CALLS_AT_ONCE = 64
"""Many more than are answered at once, so that some of them are for the same adapters."""


@dataclass(frozen=True, slots=True)
class _Stack:
    """A stack ready to run."""

    identity: replies.Identity
    manner: Manner
    calibration: Calibration


class LlamaEngine:
    """Stacks on one base; see `dizuo.families.base.StreamingEngine`."""

    calls_at_once = _CALLS_AT_ONCE
    """See `dizuo.families.base.Engine`."""

    def __init__(self, llama: Llama, stacks: Mapping[str, _Stack]) -> None:
        self._llama = llama
        self._stacks = stacks
        self._askers = ThreadPoolExecutor(SLOTS, thread_name_prefix="ask")

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        """Answer a chat completion, a completion, or a batch; see `families.text.protocol`.

        Raises:
            UnknownStack: the engine does not hold it, or is closed.
            InvalidInput: the request does not have the family's form, or is too long.
            GenerationFailed: llama.cpp failed.
        """
        return self.stream(stack, request, lambda _piece: True)

    def stream(self, stack: str, request: Mapping[str, Any], emit: Emit) -> Answer:
        """As `infer`, and `emit` is told each chunk of an answer that was asked for as a stream.

        Of other answers it is told None for each piece, and of all of them while the prompt is read
        or waits, also from other threads, so that whoever no longer wants the answer can say so
        (False). An answer that was cut, or whose form the caller chose, is no observation: it says
        nothing about what the stack answers by itself.
        """
        chosen = self._stack(stack)
        if protocol.is_batch(request):
            return self._batch(chosen, protocol.batch_of(request), emit)
        ask = protocol.ask_of(request)
        reply = replies.Reply(chosen.identity, ask, f"chatcmpl-{uuid.uuid4().hex}", _seconds())
        telling = _telling(reply, ask, emit)
        written = self._llama.write(ask, chosen.manner, telling, lambda: emit(None))
        seen = self._observe(chosen, ask, written, lambda: emit(None))
        if ask.stream:
            for chunk in reply.last_chunks(written, seen):
                emit(chunk)
        observed = ask.messages is not None and written.ended and not ask.sampling.shapes
        return Answer(reply.whole(written, seen), (seen,) if observed else ())

    def _batch(self, stack: _Stack, asks: Sequence[Ask], emit: Emit) -> Answer:
        def one(ask: Ask) -> tuple[Observation, dict[str, Any]]:
            written = (
                self._llama.write(ask, stack.manner, lambda _piece: emit(None), lambda: emit(None))
                if emit(None)
                else Written(cancelled=True)
            )
            seen = self._observe(stack, ask, written, lambda: emit(None))
            reply = replies.Reply(stack.identity, ask, f"chatcmpl-{uuid.uuid4().hex}", _seconds())
            return seen, reply.whole(written, seen)

        answered = list(self._askers.map(one, asks))
        return Answer(
            {"object": "list", "data": [body for _, body in answered]},
            tuple(seen for seen, _ in answered),
        )

    def _observe(
        self, stack: _Stack, ask: Ask, written: Written, alive: Callable[[], bool]
    ) -> Observation:
        known = stack.calibration
        sure = known.confidences(figures(written.tokens)[None])
        return Observation(
            answer_of(written.text),
            float(sure[0]),
            float(known.confidence_percentiles(sure)[0]),
            None if written.cancelled else self._novelty(known, ask, alive),
        )

    def _novelty(self, known: Calibration, ask: Ask, alive: Callable[[], bool]) -> float | None:
        text = prompt_text(ask.messages) if ask.messages is not None else str(ask.prompt)
        embedding = self._llama.embed_if_free(text, alive)
        return None if embedding is None else float(known.novelty_percentiles(embedding[None])[0])

    def expect(self, stack: str, _request: Mapping[str, Any], taken: Sequence[int]) -> Distribution:
        """The likeliest next tokens; see `dizuo.families.base.ForeseeingEngine`.

        Args:
            stack: the name it is served under.
            taken: the numbers of all tokens so far, those of the prompt first; a request's text is
                not read again.

        Raises:
            UnknownStack: the engine does not hold it, or is closed.
            ContextOverflow: there are more tokens than the model reads.
            GenerationFailed: llama.cpp failed.
        """
        return self._llama.expect(taken, self._stack(stack).manner.adapters)

    def describe(self, stack: str) -> dict[str, Any]:
        """The model's metadata; it is asked by OpenAI's protocol under `/v1`.

        Raises:
            UnknownStack: the engine does not hold it, or is closed.
        """
        chosen = self._stack(stack)
        return {
            "name": chosen.identity.name,
            "versions": [str(chosen.identity.version)],
            "platform": "llamacpp_gguf",
            "inputs": [{"name": "messages", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": "content", "datatype": "BYTES", "shape": [1]}],
            "parameters": {"context_tokens": self._llama.slot_tokens},
        }

    def close(self) -> None:
        """Refuse calls from now on; the base goes once those that still run have ended."""
        self._stacks = {}
        self._askers.shutdown(wait=False, cancel_futures=True)

    def _stack(self, name: str) -> _Stack:
        chosen = self._stacks.get(name)
        if chosen is None:
            raise UnknownStack(
                f"There is no model {name[:80]!r} here.",
                next_step=f"Served here: {', '.join(sorted(self._stacks)) or 'none'}.",
            )
        return chosen


def _telling(reply: replies.Reply, ask: Ask, emit: Emit) -> Callable[[Piece], bool]:
    if ask.stream:
        return lambda piece: emit(reply.chunk(piece))
    return lambda _piece: emit(None)


def _seconds() -> int:
    return int(time.time())


def open_engine(stacks: Mapping[str, StackFiles], *, threads: int) -> LlamaEngine:
    """One engine for stacks that share a base, keyed by the name they are served under.

    Raises:
        LayerRefused: a layer does not fit this base or this engine, or the bases differ.
    """
    manifests = {name: read_stack(files) for name, files in stacks.items()}
    bases = {chain[0].weights for chain in manifests.values()}
    if len(bases) != 1:
        raise LayerRefused(
            f"An engine holds one base; these stacks have {len(bases)}.",
            next_step="Open one engine for each base.",
        )
    for name, files in stacks.items():
        _check(files, manifests[name])
    adapters = _adapters(stacks, manifests)
    numbers = {key: number for number, key in enumerate(adapters)}
    base = next(iter(stacks.values())).base.directory
    known = {name: _load(name, files, manifests[name], numbers) for name, files in stacks.items()}
    llama = Llama(
        base / MODEL_GGUF_NAME,
        [files.layers[depth].directory / ADAPTER_GGUF_NAME for files, depth in adapters.values()],
        context_tokens=max(layers[-1].window for layers in manifests.values()),
        threads=threads,
    )
    _check_width(llama, known)
    _check_schemas(llama, known)
    return LlamaEngine(llama, known)


def _check(files: StackFiles, manifests: Sequence[Manifest]) -> None:
    for layer, manifest in zip(files.layers, manifests, strict=True):
        check_engine(layer, manifest, xllamacpp.__version__)
        if read_gguf_facts(layer.directory).weights != manifest.weights:
            raise LayerRefused(
                f"The GGUF file of {layer.name} was made from other weights than the layer names.",
                next_step="Export the layer again.",
            )


def _adapters(
    stacks: Mapping[str, StackFiles], manifests: Mapping[str, Sequence[Manifest]]
) -> dict[tuple[str, str], tuple[StackFiles, int]]:
    """Each different adapter once, by `_key`: whose it is, and at what depth."""
    return {
        _key(files, manifest, depth): (files, depth)
        for name, files in stacks.items()
        for depth, manifest in enumerate(manifests[name])
        if depth > 0
    }


def _key(files: StackFiles, manifest: Manifest, depth: int) -> tuple[str, str]:
    """The digest of an adapter's weights, and the numbers that its GGUF file keeps them in."""
    return manifest.weights, read_gguf_facts(files.layers[depth].directory).kept_as


def _load(
    name: str,
    files: StackFiles,
    manifests: Sequence[Manifest],
    numbers: Mapping[tuple[str, str], int],
) -> _Stack:
    top = manifests[-1]
    manner = Manner(
        adapters=frozenset(
            numbers[_key(files, manifest, depth)]
            for depth, manifest in enumerate(manifests)
            if depth > 0
        ),
        max_tokens=top.answering.max_tokens,
        system=top.answering.system,
        schema=read_schema(files.top.directory, top),
    )
    identity = replies.Identity(name, files.version, files.digest)
    return _Stack(identity, manner, calibration.read(files.top.directory))


def _check_width(llama: Llama, stacks: Mapping[str, _Stack]) -> None:
    for name, stack in stacks.items():
        if stack.calibration.scales.size != llama.embedding_size:
            raise LayerRefused(
                f"The {calibration.FILE_NAME} of {name} is for another base.",
                next_step="Build the layer again.",
            )


def _check_schemas(llama: Llama, stacks: Mapping[str, _Stack]) -> None:
    for name, stack in stacks.items():
        schema = stack.manner.schema
        if schema is not None and not llama.enforces(schema):
            raise LayerRefused(
                f"The engine cannot hold the answers of {name} to its schema.",
                next_step="Leave out of task.schema what overlaps or contradicts itself, and build "
                "the layer again.",
            )
