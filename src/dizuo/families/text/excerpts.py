"""Answers that quote: strings of an answer that stand in what users said, word for word. Light.

A property of an answer is an excerpt where its schema says `{"type": "string", "format":
"excerpt"}`. It is a run of whole pieces: a word or a number, or any other character on its own,
Chinese ones among them. So a place can neither be misspelled nor end in the middle of a word; it
may be empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

FORMAT = "excerpt"
_SEVERAL_LETTERS_A_WORD = (
    r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]+"
)
"""A run of letters and digits, but of scripts that put no spaces between words."""
_PIECE = re.compile(f"{_SEVERAL_LETTERS_A_WORD}|.", re.DOTALL)
_KEYS = {"type", "format", "title", "description"}
_AROUND = {
    "type", "properties", "required", "additionalProperties", "title", "description", "$schema",
    "$defs", "definitions",
}  # fmt: skip


def excerpts_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the properties that are excerpts."""
    return tuple(
        name
        for name, part in schema.get("properties", {}).items()
        if isinstance(part, Mapping) and part.get("format") == FORMAT
    )


def excerpts_fault(schema: Mapping[str, Any]) -> str:
    """Why the excerpts of a schema cannot be enforced, without a full stop, or an empty string."""
    names = excerpts_of(schema)
    if not names:
        return ""
    for name in names:
        part = schema["properties"][name]
        if part.get("type") != "string" or not set(part) <= _KEYS:
            return f"{name[:40]!r} of the schema is an excerpt, so it is of type string, as it is"
    unknown = sorted(str(key) for key in schema if key not in _AROUND)
    if unknown:
        return f"a schema with an excerpt cannot have the keyword {unknown[0][:40]!r} beside it"
    required = schema.get("required", [])
    if schema.get("additionalProperties") is not False or not (
        isinstance(required, list) and set(schema["properties"]) <= set(map(str, required))
    ):
        return (
            "a schema with an excerpt must require all its properties and allow no others "
            "(additionalProperties: false)"
        )
    return ""


def pieces(said: str) -> list[str]:
    """What an excerpt of a text is put together from."""
    return _PIECE.findall(said)


def is_excerpt(text: str, said: str) -> bool:
    """Whether a text is a run of whole pieces of another."""
    wanted, given = pieces(text), pieces(said)
    starts = range(len(given) - len(wanted) + 1)
    return any(given[start : start + len(wanted)] == wanted for start in starts)


def answer_fault(answer: Any, schema: Mapping[str, Any], said: str) -> str:
    """Which excerpt of an answer is none, one clause without a full stop, or an empty string."""
    if not isinstance(answer, Mapping):
        return ""
    for name in excerpts_of(schema):
        text = answer.get(name)
        if isinstance(text, str) and not is_excerpt(text, said):
            return f"{name} ({_shown(text)}) does not stand in the prompt word for word"
    return ""


def grammar_of(said: str) -> str:
    """The llguidance terminal of all excerpts of a text, as JSON writes them."""
    written = [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in pieces(said)]
    return "%regex " + json.dumps({"substring_chunks": written}, ensure_ascii=False)


def _shown(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[:40]
