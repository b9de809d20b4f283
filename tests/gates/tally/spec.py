from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dizuo.artifacts.model import Level
from dizuo.families.base import Problem, RecipeSchema, Row

NAME = "tally"
CODE_VERSION = 1
TARGETS: tuple[str, ...] = ("safetensors", "table", "table-b")
PROTOCOL = "open-inference"
COLUMNS: tuple[str, ...] = ("text", "label")
NEAR_DUPLICATE_SIMILARITY = 0.999


def check_recipe(
    level: Level, method: Mapping[str, Any], task: Mapping[str, Any], *, replays: bool = False
) -> list[Problem]:
    if method.get("kind") != "memorise":
        return [Problem(("method", "kind"), "The method must be memorise.", "Write memorise.")]
    return []


def recipe_schema(level: Level) -> RecipeSchema:
    """One method, which has no settings, and no task."""
    return RecipeSchema({"memorise": {"properties": {"kind": {"const": "memorise"}}}}, {})


def check_row(row: Row) -> str:
    return "" if isinstance(row.get("text"), str) else "there is no text"


def fingerprints(rows: Sequence[Row]) -> NDArray[np.float32]:
    vectors = np.zeros((len(rows), 128), dtype=np.float32)
    for vector, row in zip(vectors, rows, strict=True):
        for character in row["text"]:
            vector[ord(character) % 128] += 1
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-6), dtype=np.float32)


def truth(row: Row) -> Any:
    return row["label"]


def request(rows: Sequence[Row]) -> dict[str, Any]:
    return {"texts": [row["text"] for row in rows]}


def rows(request: Mapping[str, Any], indices: Sequence[int]) -> list[dict[str, Any]]:
    return [{"text": request["texts"][index]} for index in indices]
