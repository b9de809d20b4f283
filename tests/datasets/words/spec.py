"""A family of short texts, registered in the tests as a stranger's would be. No images anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dizuo.artifacts.model import Level
from dizuo.families.base import Problem, RecipeSchema, Row

NAME = "words"
TARGETS: tuple[str, ...] = ("safetensors",)
PROTOCOL = "open-inference"
COLUMNS: tuple[str, ...] = ("text", "label", "weight", "tags")
NEAR_DUPLICATE_SIMILARITY = 0.995


def check_recipe(
    level: Level, method: Mapping[str, Any], task: Mapping[str, Any], *, replays: bool = False
) -> list[Problem]:
    return []


def recipe_schema(level: Level) -> RecipeSchema:
    """One method, which has no settings, and no task."""
    return RecipeSchema({"read": {"properties": {"kind": {"const": "read"}}}}, {})


def check_row(row: Row) -> str:
    if not isinstance(row.get("text"), str):
        return "there is no text"
    if "label" not in row or row["label"] == "":
        return "there is no label"
    return ""


def fingerprints(rows: Sequence[Row]) -> NDArray[np.float32]:
    """Counts of characters, as unit vectors: anagrams are near duplicates."""
    counts = np.zeros((len(rows), 128), np.float32)
    for index, row in enumerate(rows):
        for character in row["text"]:
            counts[index, ord(character) % 128] += 1
    counts[:, 0] += 1e-6
    unit = counts / np.linalg.norm(counts, axis=1, keepdims=True)
    return np.asarray(unit, np.float32)


def truth(row: Row) -> Any:
    return row["label"]


def request(rows: Sequence[Row]) -> dict[str, Any]:
    return {"texts": [row["text"] for row in rows]}


def rows(request: Mapping[str, Any], indices: Sequence[int]) -> list[dict[str, Any]]:
    return [{"text": request["texts"][index]} for index in indices]
