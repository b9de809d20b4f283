"""What a text row holds, and the two forms of an answer: text, and the JSON it may be. Light.

A row is a prompt with its right answer, `{"prompt": …, "label": …}`, or plain text to learn from,
`{"text": …}`. A prompt is one user message as text, or a list of chat messages. A label is text or
a JSON value; `rejected` may hold an answer that a reviewer turned down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dizuo.core.digests import canonical_json
from dizuo.core.errors import InvalidInput
from dizuo.families.base import Row

Message = dict[str, str]
"""`{"role": "user", "content": "…"}`."""

ROLES = ("system", "user", "assistant")
MAX_MESSAGES = 256
MAX_CHARACTERS = 2_000_000
"""Of all contents of a prompt together."""
TEMPLATE_ARGUMENTS: Mapping[str, bool] = {"enable_thinking": False}
"""What every chat template is given beside the messages, in training and at the engine: the
answers that layers learn come without thinking before them."""
_FORM = "Send a list of messages, each with a role (system, user, assistant) and a text as content."


def messages_of(prompt: object) -> list[Message]:
    """A prompt as chat messages; a text is one user message.

    Raises:
        InvalidInput: it has neither form, does not end with a message to answer, or is too long.
    """
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list) or not 0 < len(prompt) <= MAX_MESSAGES:
        raise InvalidInput(
            f"The prompt is not a list of 1 to {MAX_MESSAGES} messages.", next_step=_FORM
        )
    messages = [_message(one, place) for place, one in enumerate(prompt)]
    if messages[-1]["role"] == "assistant":
        raise InvalidInput(
            "The last message is the assistant's, so there is nothing to answer.", next_step=_FORM
        )
    if sum(len(one["content"]) for one in messages) > MAX_CHARACTERS:
        raise InvalidInput(
            f"The prompt has more than {MAX_CHARACTERS:,} characters.", next_step="Shorten it."
        )
    return messages


def _message(one: object, place: int) -> Message:
    if not isinstance(one, Mapping):
        raise InvalidInput(f"Message {place + 1} is not an object.", next_step=_FORM)
    role, content = one.get("role"), one.get("content")
    if isinstance(content, list):
        content = _joined(content, place)
    if role == "developer":  # OpenAI's newer name
        role = "system"
    if role not in ROLES:
        raise InvalidInput(
            f"Message {place + 1} has the role {str(role)[:20]!r}, which is not known here.",
            next_step=_FORM,
        )
    if not isinstance(content, str):
        raise InvalidInput(f"Message {place + 1} has no text as content.", next_step=_FORM)
    return {"role": str(role), "content": content}


def _joined(parts: Sequence[object], place: int) -> str:
    """The text of a content in parts, as OpenAI's clients may send it."""
    texts = (
        [part.get("text") for part in parts if isinstance(part, Mapping) and part["type"] == "text"]
        if all(isinstance(part, Mapping) and "type" in part for part in parts)
        else []
    )
    if len(texts) != len(parts) or not all(isinstance(text, str) for text in texts):
        raise InvalidInput(
            f"Message {place + 1} holds something else than text.",
            next_step="This model reads text only.",
        )
    return "".join(str(text) for text in texts)


def with_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    """Messages with a layer's system message before them, unless they bring one."""
    if system is None or any(one["role"] == "system" for one in messages):
        return list(messages)
    return [{"role": "system", "content": system}, *messages]


def prompt_of(messages: Sequence[Message]) -> str | list[Message]:
    """The shortest form of a prompt: one user message alone is its text."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return list(messages)


def prompt_text(messages: Sequence[Message]) -> str:
    """What users said, for fingerprints and embeddings; the system's part says nothing new."""
    said = [one["content"] for one in messages if one["role"] == "user"]
    return "\n".join(said) or messages[-1]["content"]


def answer_text(label: Any, order: Sequence[str] = ()) -> str:
    """A label as the text a model learns to write: text as it is, JSON without spaces.

    The keys of an object stand in `order`, those not in it after them by name.
    """
    if isinstance(label, str):
        return label
    if isinstance(label, Mapping):
        keys = sorted(label, key=lambda key: (_place(key, order), key))
        label = {key: label[key] for key in keys}
    return json.dumps(label, ensure_ascii=False, separators=(",", ":"))


def _place(key: str, order: Sequence[str]) -> int:
    return order.index(key) if key in order else len(order)


def answer_of(text: str) -> Any:
    """What a text says: the JSON object or list that it is, or the text, without outer spaces.

    What a number or a character cannot be (`1e999`, half a surrogate pair) stays text.
    """
    stripped = text.strip()
    if stripped[:1] not in ("{", "["):
        return stripped
    try:
        value = json.loads(stripped, parse_constant=_refuse_constant)
        canonical_json(value)
    except (ValueError, RecursionError):
        return stripped
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def row_messages(row: Row) -> list[Message]:
    """The prompt of a row as messages.

    Raises:
        InvalidInput: it has none.
    """
    return messages_of(row.get("prompt"))


def row_answer(row: Row) -> Any:
    """The right answer that a row carries.

    Raises:
        InvalidInput: it carries none.
    """
    if "label" not in row:
        raise InvalidInput("The row has no label.", next_step="Give each prompt its right answer.")
    label = row["label"]
    return answer_of(label) if isinstance(label, str) else label
