"""The values of rows for people: texts, conversations, JSON, and bytes that are no picture."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from dizuo.console.elements.markup import join, tag
from dizuo.console.elements.telling import num_bytes
from dizuo.console.messages import Words

_SHORT = 280
_LONGEST = 20_000


def shown(words: Words, value: Any) -> Markup:
    """A value of any kind; long ones begin folded."""
    if value is None:
        return tag("span", "–", class_="muted")
    if isinstance(value, bytes):
        return tag("span", words("data.bytes", size=num_bytes(len(value))), class_="muted")
    if isinstance(value, str):
        return folded(words, value)
    if _is_conversation(value):
        return join(_message(words, one) for one in value)
    if isinstance(value, dict | list):
        return folded(words, json.dumps(value, ensure_ascii=False, indent=2), is_code=True)
    return tag("span", json.dumps(value))


def folded(words: Words, text: str, *, is_code: bool = False) -> Markup:
    """A text as it is written; of a long one the beginning, and the rest where it is asked for."""
    kind = "value code" if is_code else "value"
    if len(text) <= _SHORT and text.count("\n") < 12:
        return tag("div", text, class_=kind)
    cut = text[:_LONGEST]
    rest = words("data.cut", number=f"{len(text) - len(cut):,}") if len(cut) < len(text) else None
    beginning = tag("span", " ".join(text[:_SHORT].split()[:40]), "…", class_="begins")
    summary = tag("summary", beginning, " ", tag("span", words("data.more"), class_="more"))
    told = tag("p", rest, class_="muted") if rest else None
    return tag("details", summary, tag("div", cut, class_=kind), told, class_="folded")


def _is_conversation(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and one.keys() == {"role", "content"} for one in value)
    )


def _message(words: Words, message: dict[str, Any]) -> Markup:
    role = tag("span", str(message["role"]), class_="role")
    return tag("div", role, shown(words, message["content"]), class_="message")
