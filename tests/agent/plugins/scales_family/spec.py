"""What the family takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dizuo.artifacts.model import Level
from dizuo.core.errors import InvalidInput
from dizuo.families.base import Problem, RecipeSchema, Row

NAME = "scales"
TARGETS = ("safetensors", "plain")
PROTOCOL = "open-inference"
COLUMNS = ("value", "photo")
NEAR_DUPLICATE_SIMILARITY = 0.99


def check_recipe(
    level: Level, method: Mapping[str, Any], task: Mapping[str, Any], *, replays: bool = False
) -> list[Problem]:
    return []


def recipe_schema(level: Level) -> RecipeSchema:
    """One method, which has no settings, and no task."""
    return RecipeSchema({"weigh": {"properties": {"kind": {"const": "weigh"}}}}, {})


def check_row(row: Row) -> str:
    return "" if isinstance(row.get("value"), int | float) else "the value is not a number"


def fingerprints(rows: Sequence[Row]) -> NDArray[np.float32]:
    return np.array([[np.cos(row["value"]), np.sin(row["value"])] for row in rows], np.float32)


def truth(row: Row) -> Any:
    return row["label"]


def request(rows: Sequence[Row]) -> dict[str, Any]:
    data = [row["value"] for row in rows]
    tensor = {"name": "value", "datatype": "FP64", "shape": [len(data)], "data": data}
    return {"inputs": [tensor]}


def values(request: Mapping[str, Any]) -> list[float]:
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise InvalidInput("The request does not have exactly one input.")
    data = inputs[0].get("data")
    if not isinstance(data, list) or not all(isinstance(v, int | float) for v in data):
        raise InvalidInput("The input is not a list of numbers.")
    return [float(value) for value in data]


def rows(request: Mapping[str, Any], indices: Sequence[int]) -> list[dict[str, Any]]:
    found = values(request)
    return [{"value": found[i], "photo": str(found[i]).encode()} for i in indices]
