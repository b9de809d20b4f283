from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dizuo.artifacts.model import StackFiles
from dizuo.families.base import Answer, Observation
from dizuo.families.errors import LayerRefused, UnknownStack

MODEL_NAME = "model.json"


class TallyEngine:
    """Answers from tables; a table's `mishap` says how this engine breaks."""

    def __init__(self, models: Mapping[str, dict[str, Any]]) -> None:
        self._models = models

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        if stack not in self._models:
            raise UnknownStack(f"There is no {stack}.")
        model = self._models[stack]
        mishap = model.get("mishap")
        if mishap == "crash":
            raise ZeroDivisionError("the table fell over")
        answers = [model["answers"].get(text, model["default"]) for text in request["texts"]]
        if mishap == "short":
            answers = answers[1:]
        sure = float("nan") if mishap == "nan" else 0.75
        seen = tuple(Observation(answer, sure, 0.5, 0.5) for answer in answers)
        return Answer({"answers": answers}, seen)

    def describe(self, stack: str) -> dict[str, Any]:
        return {"name": stack}

    def close(self) -> None:
        if any(model.get("mishap") == "close" for model in self._models.values()):
            raise OSError("the table would not close")


def open_engine(stacks: Mapping[str, StackFiles], *, threads: int) -> TallyEngine:
    return TallyEngine({name: _merged(files) for name, files in stacks.items()})


def _merged(files: StackFiles) -> dict[str, Any]:
    merged: dict[str, Any] = {"answers": {}, "default": "?"}
    for layer in files.layers:
        model = json.loads((layer.directory / MODEL_NAME).read_text())
        if model.get("mishap") == "load":
            raise LayerRefused("The table is of another base.", next_step="Build it again.")
        merged = {**merged, **model, "answers": {**merged["answers"], **model["answers"]}}
    return merged
