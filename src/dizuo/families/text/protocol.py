"""What an engine of text models is asked: OpenAI's bodies, and several chats at once. Light.

Three forms of a request: a chat completion (`messages`), a completion (`prompt`), and a batch
(`{"requests": [chat, …]}`) that gates and golden sets use. Of OpenAI's parameters those are taken
that llama.cpp can honour; others are refused if they would change the answer and ignored if not.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dizuo.core.errors import InvalidInput
from dizuo.families.text.messages import MAX_CHARACTERS, Message, messages_of
from dizuo.families.text.schema import schema_fault

MAX_BATCH = 256
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 1000
MAX_TOP_LOGPROBS = 20
MAX_TOKENS = 262_144
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_REFUSED = {
    "tools": "This model calls no tools.",
    "functions": "This model calls no functions.",
    "audio": "This model makes no sound.",
    "suffix": "This model does not fill in the middle.",
    "logit_bias": "This model takes no bias on its tokens.",
    "echo": "This model does not repeat the prompt in its answer.",
    "web_search_options": "This model searches nothing.",
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
    return "requests" in request


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
    return [messages_of(request["messages"])] if "messages" in request else []


def ask_of(body: Mapping[str, Any]) -> Ask:
    """The question in the body of a chat completion or a completion.

    Raises:
        InvalidInput: it has another form, or asks for what this engine cannot do.
    """
    _refuse_others(body)
    chat = "messages" in body
    stream, usage = _streaming(body)
    return Ask(
        messages=tuple(messages_of(body["messages"])) if chat else None,
        prompt=None if chat else _raw_prompt(body),
        sampling=_sampling(body),
        stream=stream,
        include_usage=usage,
        top_logprobs=_top_logprobs(body, chat=chat),
    )


def _refuse_others(body: Mapping[str, Any]) -> None:
    """Refuse parameters that would change the answer and are not honoured, unless they are
    neutral."""
    for key, reason in _REFUSED.items():
        if body.get(key):
            raise InvalidInput(reason, next_step=f"Leave out {key}.")
    if body.get("modalities") not in (None, ["text"]):
        raise InvalidInput("This model answers in text only.", next_step="Leave out modalities.")
    for key in ("n", "best_of"):
        if body.get(key) not in (None, 1):
            raise InvalidInput(
                f"This model gives one answer to a request, so {key} can only be 1.",
                next_step=f"Leave out {key}, and send the request again for each further answer.",
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
            next_step="Send messages to /v1/chat/completions, or a prompt to /v1/completions.",
        )
    if len(prompt) > MAX_CHARACTERS:
        raise InvalidInput(
            f"The prompt has more than {MAX_CHARACTERS:,} characters.", next_step="Shorten it."
        )
    return prompt


def _streaming(body: Mapping[str, Any]) -> tuple[bool, bool]:
    stream, options = body.get("stream") or False, body.get("stream_options") or {}
    if not isinstance(stream, bool) or not isinstance(options, Mapping):
        raise InvalidInput(
            "stream is true or false, and stream_options an object.",
            next_step="Correct them, or leave them out.",
        )
    return stream, options.get("include_usage") is True


def _sampling(body: Mapping[str, Any]) -> Sampling:
    schema, any_json, free = _response_format(body)
    length = _whole(body, "max_completion_tokens", 1, MAX_TOKENS)
    return Sampling(
        max_tokens=length or _whole(body, "max_tokens", 1, MAX_TOKENS),
        stop=_stops(body),
        seed=_whole(body, "seed", -(2**63), 2**63 - 1),
        numbers={
            key: _number(body, key, low, high)
            for key, (low, high) in _NUMBERS.items()
            if body.get(key) is not None
        },
        schema=schema,
        any_json=any_json,
        free=free,
    )


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
    stops = [stop] if isinstance(stop, str) else stop or []
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
    if not chat:
        return _whole(body, "logprobs", 0, MAX_TOP_LOGPROBS)
    wanted = body.get("logprobs") or False
    if not isinstance(wanted, bool):
        raise InvalidInput("logprobs is true or false.", next_step="Give a number as top_logprobs.")
    number = _whole(body, "top_logprobs", 0, MAX_TOP_LOGPROBS)
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
