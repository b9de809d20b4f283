"""What an engine of text models is asked: OpenAI's bodies, and several chats at once. Light.

Three forms of a request: a chat completion (`messages`), a completion (`prompt`), and a batch
(`{"requests": [chat, …]}`, and nothing beside it) that gates and golden sets use; a body that names
its model, as all of applications do, is never a batch. `parameters.py` says which parameters count.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dizuo.core.errors import InvalidInput
from dizuo.families.text.messages import MAX_CHARACTERS, Message, messages_of
from dizuo.families.text.parameters import check_parameters
from dizuo.families.text.schema import schema_fault

MAX_BATCH = 256
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 1000
MAX_TOP_LOGPROBS = 20
MAX_TOKENS = 262_144
MAX_TOP_K = 2**31 - 1
_LENGTHS = ("max_completion_tokens", "max_tokens")
_STREAM_OPTIONS = ("include_usage", "include_obfuscation")
"""The second asks for padding that hides an answer's lengths; there is none here."""
_FORMS = "Send messages to /v1/chat/completions, or a prompt to /v1/completions."
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to write an answer, in the terms of llama.cpp; what is not set is the layer's."""

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    any_json: bool = False
    free: bool = False
    """Whether the caller asked for plain text, also of a layer that has a schema."""

    @property
    def shapes(self) -> bool:
        """Whether the caller chooses the answer's form or where it stops, instead of the layer."""
        return self.schema is not None or self.any_json or self.free or bool(self.stop)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: chat messages or a raw prompt, how to answer, and what to tell beside it.

    `top_logprobs` is None where the caller wants no log-probabilities.
    """

    messages: tuple[Message, ...] | None
    prompt: str | None
    sampling: Sampling
    stream: bool = False
    include_usage: bool = False
    top_logprobs: int | None = None


def batch_request(chats: Sequence[Sequence[Message]]) -> dict[str, Any]:
    """The request that asks each chat, the likeliest answer of each, whatever was asked before."""
    return {"requests": [{"messages": list(chat), "temperature": 0} for chat in chats]}


def is_batch(request: Mapping[str, Any]) -> bool:
    """Whether a request is a batch."""
    return set(request) == {"requests"}


def batch_of(request: Mapping[str, Any]) -> list[Ask]:
    """The questions of a batch.

    Raises:
        InvalidInput: it does not have that form.
    """
    parts = request["requests"]
    if not isinstance(parts, list) or not 0 < len(parts) <= MAX_BATCH:
        raise InvalidInput(
            f"A batch holds 1 to {MAX_BATCH} requests.",
            next_step="Send a list of chats as requests, and more of them in further batches.",
        )
    if not all(isinstance(part, Mapping) and "messages" in part for part in parts):
        raise InvalidInput(
            "A request of the batch has no messages.", next_step="Give each a list of messages."
        )
    return [ask_of(part) for part in parts]


def conversations(request: Mapping[str, Any]) -> list[list[Message]]:
    """The chats of a request, in order; a raw completion holds none.

    Raises:
        InvalidInput: the request does not have one of the forms.
    """
    if is_batch(request):
        return [list(ask.messages or ()) for ask in batch_of(request)]
    return [messages_of(request["messages"])] if _is_chat(request) else []


def _is_chat(body: Mapping[str, Any]) -> bool:
    return body.get("messages") is not None


def ask_of(body: Mapping[str, Any]) -> Ask:
    """The question in the body of a chat completion or a completion.

    Raises:
        InvalidInput: it has another form, or asks for what this engine cannot do.
    """
    check_parameters(body)
    chat = _is_chat(body)
    if chat and body.get("prompt") is not None:
        raise InvalidInput("A request holds messages or a prompt, not both.", next_step=_FORMS)
    stream, usage = _streaming(body)
    return Ask(
        messages=tuple(messages_of(body["messages"])) if chat else None,
        prompt=None if chat else _raw_prompt(body),
        sampling=_sampling(body),
        stream=stream,
        include_usage=usage,
        top_logprobs=_top_logprobs(body, chat=chat),
    )


def _raw_prompt(body: Mapping[str, Any]) -> str:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and prompt:
        prompt, *others = prompt
        if others or not isinstance(prompt, str):
            raise InvalidInput(
                "One prompt at a time is read, and as text.",
                next_step="Send a text as prompt, and each further one in a request of its own.",
            )
    if not isinstance(prompt, str) or not prompt:
        raise InvalidInput(
            "The request has neither messages nor a text as prompt.",
            next_step=_FORMS,
        )
    if len(prompt) > MAX_CHARACTERS:
        raise InvalidInput(
            f"The prompt has more than {MAX_CHARACTERS:,} characters.", next_step="Shorten it."
        )
    return prompt


def _streaming(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the answer is streamed, and whether its usage is told at the end of the stream."""
    options = body.get("stream_options")
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise _wrong("stream_options", "is not an object")
    for key, value in options.items():
        if key not in _STREAM_OPTIONS and value is not None:
            raise InvalidInput(
                f"A stream takes no option {key[:80]!r}.",
                next_step=f"Leave it out; taken are {' and '.join(_STREAM_OPTIONS)}.",
            )
    usage, _ = (_flag(options, key) for key in _STREAM_OPTIONS)
    return _flag(body, "stream"), usage


def _sampling(body: Mapping[str, Any]) -> Sampling:
    schema, any_json, free = _response_format(body)
    newer, older = (_whole(body, key, 1, MAX_TOKENS) for key in _LENGTHS)
    return Sampling(
        max_tokens=newer or older,
        stop=_stops(body),
        seed=_whole(body, "seed", -(2**63), 2**63 - 1),
        numbers=_numbers(body),
        schema=schema,
        any_json=any_json,
        free=free,
    )


def _numbers(body: Mapping[str, Any]) -> dict[str, float]:
    numbers: dict[str, float] = {
        key: _number(body, key, low, high)
        for key, (low, high) in _NUMBERS.items()
        if body.get(key) is not None
    }
    top_k = _whole(body, "top_k", 0, MAX_TOP_K)
    return numbers if top_k is None else {**numbers, "top_k": top_k}


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise _wrong(key, "is neither true nor false")
    return value is True


def _whole(body: Mapping[str, Any], key: str, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if type(value) is not int or not low <= value <= high:
        raise _wrong(key, f"is not a whole number from {low} to {high}")
    return value


def _number(body: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = body[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(key, "is not a number")
    if not low <= value <= high:
        raise _wrong(key, f"is not between {low:g} and {high:g}")
    return float(value)


def _wrong(key: str, reason: str) -> InvalidInput:
    return InvalidInput(f"{key} {reason}.", next_step=f"Correct {key}, or leave it out.")


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop")
    if stop is None or stop == "":  # clients send an empty text where a form was left empty
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if (
        not isinstance(stops, list)
        or len(stops) > MAX_STOPS
        or not all(isinstance(one, str) and 0 < len(one) <= MAX_STOP_CHARACTERS for one in stops)
    ):
        raise InvalidInput(
            f"stop is not a text or a list of at most {MAX_STOPS} texts.",
            next_step=f"Give texts of 1 to {MAX_STOP_CHARACTERS:,} characters, or leave out stop.",
        )
    return tuple(stops)


def _top_logprobs(body: Mapping[str, Any], *, chat: bool) -> int | None:
    """How many log-probabilities are told beside each token; None if not even the token's own."""
    number = _whole(body, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    if not chat:
        if number:
            raise _wrong("top_logprobs", "is for chats; a completion takes the number as logprobs")
        return _whole(body, "logprobs", 0, MAX_TOP_LOGPROBS)
    wanted = body.get("logprobs")
    if wanted is not None and not isinstance(wanted, bool):
        raise InvalidInput("logprobs is true or false.", next_step="Give a number as top_logprobs.")
    if number and not wanted:
        raise InvalidInput(
            "top_logprobs is told only where logprobs is true.",
            next_step="Set logprobs to true, or leave out top_logprobs.",
        )
    return (number or 0) if wanted else None


def _response_format(body: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, bool, bool]:
    """The schema asked for, whether any JSON object will do, and whether plain text is wanted."""
    wanted = body.get("response_format")
    if wanted is None:
        return None, False, False
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "text":
        return None, False, True
    if kind == "json_object":
        return None, True, False
    named = wanted.get("json_schema") if kind == "json_schema" else None
    schema = named.get("schema") if isinstance(named, Mapping) else None
    if not isinstance(schema, Mapping):
        raise InvalidInput(
            "response_format is neither text, json_object, nor json_schema with a schema.",
            next_step="Give one of these as its type, a schema as json_schema.schema.",
        )
    fault = schema_fault(schema)
    if fault:
        raise InvalidInput(
            f"response_format cannot be used: {fault}.",
            next_step="Correct the schema, or ask for json_object.",
        )
    return schema, False, False
