"""What the text family takes and refuses. Light."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dizuo.artifacts.model import Level
from dizuo.core.digests import canonical_json
from dizuo.core.errors import InvalidInput
from dizuo.families.base import Problem, RecipeSchema, Row
from dizuo.families.text import protocol, recipe
from dizuo.families.text.messages import (
    MAX_CHARACTERS,
    answer_of,
    answer_text,
    prompt_of,
    prompt_text,
    row_answer,
    row_messages,
)

NAME = "text"
CODE_VERSION = 7
"""Raised when the same recipe and data would become other bytes; see `families.base.Spec`.

2: trained answers tell how likely the model found each token. 3: they are held to the schema.
4: a part of an answer may be an excerpt of the prompt. 5: `layer.json` says how many tokens engines
read at once. 6: a layer is examined with as many as its engine has, see `slots.window`.
"""
PROTOCOL: Literal["open-inference", "openai"] = "openai"
TARGETS: tuple[str, ...] = ("safetensors", "gguf-f16", "gguf-q8_0", "gguf-q4_0")
COLUMNS: tuple[str, ...] = ("prompt", "text", "rejected", "label")
NEAR_DUPLICATE_SIMILARITY = 0.97

_FINGERPRINT_SIZE = 512
_GRAM = 3


def check_recipe(
    level: Level, method: Mapping[str, Any], task: Mapping[str, Any], *, replays: bool = False
) -> list[Problem]:
    """Every problem of a recipe's `method`, `task` and `data.replay`; see
    `dizuo.families.text.recipe`."""
    return recipe.check(level, method, task, replays=replays)


def recipe_schema(level: Level) -> RecipeSchema:
    """What a recipe of this level may say under `method` and `task`."""
    return recipe.schema(level)


def check_row(row: Row) -> str:
    """Why a row cannot be used, one clause without a full stop, or an empty string."""
    if "text" in row:
        return _plain_fault(row)
    try:
        row_messages(row)
    except InvalidInput as error:
        return error.message[0].lower() + error.message[1:].removesuffix(".")
    for column in ("label", "rejected"):
        if column in row and (fault := _answer_fault(row[column])):
            return f"the {column} {fault}"
    if "rejected" in row and "label" in row and _said(row["rejected"]) == _said(row["label"]):
        return "the rejected answer is the label"
    return ""


def _said(answer: Any) -> bytes:
    """What an answer says, however it is written."""
    return canonical_json(answer_of(answer_text(answer)))


def _plain_fault(row: Row) -> str:
    if set(row) & {"prompt", "label", "rejected"}:
        return "there is a text to learn from and also a prompt or a label"
    text = row["text"]
    if not isinstance(text, str) or not text.strip():
        return "the text is empty"
    return "" if len(text) <= MAX_CHARACTERS else f"the text has over {MAX_CHARACTERS:,} characters"


def _answer_fault(answer: Any) -> str:
    if isinstance(answer, str) and not answer.strip():
        return "is empty"
    if isinstance(answer, bytes):
        return "is neither text nor JSON"
    long = len(answer_text(answer)) > MAX_CHARACTERS
    return f"has over {MAX_CHARACTERS:,} characters" if long else ""


def fingerprints(rows: Sequence[Row]) -> NDArray[np.float32]:
    """Character trigrams of each prompt (or plain text), hashed: shape (rows, 512), unit norm.

    The dot product of two is the cosine of their trigram counts (Weinberger et al. 2009, *Feature
    Hashing for Large Scale Multitask Learning*). Case and spaces do not matter.
    """
    if not rows:
        return np.zeros((0, _FINGERPRINT_SIZE), dtype=np.float32)
    return np.stack([_fingerprint(_input_text(row)) for row in rows])


def _input_text(row: Row) -> str:
    return str(row["text"]) if "text" in row else prompt_text(row_messages(row))


def _fingerprint(text: str) -> NDArray[np.float32]:
    characters = "".join(text.split()).casefold()
    vector = np.zeros(_FINGERPRINT_SIZE, dtype=np.float32)
    for start in range(max(1, len(characters) - _GRAM + 1)):
        hashed = zlib.crc32(characters[start : start + _GRAM].encode())
        vector[hashed % _FINGERPRINT_SIZE] += 1 if hashed & (1 << 20) else -1
    norm = float(np.linalg.norm(vector))
    if norm == 0:  # signs that cancel out
        vector[0] = norm = 1.0
    return vector / np.float32(norm)


def truth(row: Row) -> Any:
    """The right answer of a row: text, or JSON where it is that.

    Raises:
        InvalidInput: the row carries none.
    """
    return row_answer(row)


def request(rows: Sequence[Row]) -> dict[str, Any]:
    """The request that asks an engine about the rows' prompts, each as a chat of its own."""
    return protocol.batch_request([row_messages(row) for row in rows])


def rows(request: Mapping[str, Any], indices: Sequence[int]) -> list[dict[str, Any]]:
    """The prompts at `indices` of a request, as `{"prompt": …}`.

    Raises:
        InvalidInput: the request does not have the family's form.
    """
    conversations = protocol.conversations(request)
    return [{"prompt": prompt_of(conversations[index])} for index in indices]
