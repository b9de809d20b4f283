"""The engine."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from dizuo.artifacts.model import StackFiles
from dizuo.families.base import Answer, Observation
from dizuo.families.errors import LayerRefused, UnknownStack

from .spec import values


class ScalesEngine:
    """A layer that `gathers` N answers only N calls at once."""

    def __init__(self, offset: float, layers: Mapping[str, dict[str, Any]]) -> None:
        self._offset = offset
        self._layers = layers
        self._gathering: threading.Barrier | None = None
        if num_calls := max((layer.get("gathers", 0) for layer in layers.values()), default=0):
            self.calls_at_once = num_calls
            self._gathering = threading.Barrier(num_calls, timeout=10)

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        if stack not in self._layers:
            raise UnknownStack(f"No stack {stack!r}.")
        layer = self._layers[stack]
        if self._gathering is not None:
            self._gathering.wait()
        found = values(request)
        if layer.get("slow_at", found[0]) in found:
            time.sleep(layer.get("seconds", 0))
        if any(value > layer.get("aborts_above", math.inf) for value in found):
            os.abort()
        if any(value == layer.get("stumbles_at") for value in found):
            raise ZeroDivisionError("a defect in the family's code")
        observations = tuple(self._observe(value * layer.get("scale", 1)) for value in found)
        answers = [observation.answer for observation in observations]
        output = {
            "name": "side",
            "datatype": "BYTES",
            "shape": [len(answers)],
            "data": answers,
        }
        return Answer({"model_name": stack, "outputs": [output]}, observations)

    def _observe(self, scaled: float) -> Observation:
        score = scaled + self._offset
        confidence = 1 / (1 + math.exp(-min(abs(score), 50)))
        return Observation(
            "high" if score >= 0 else "low",
            confidence,
            min(1.0, abs(score) / 10),
            min(1.0, abs(scaled) / 100),
        )

    def describe(self, stack: str) -> dict[str, Any]:
        inputs = [{"name": "value", "datatype": "FP64", "shape": [-1]}]
        outputs = [{"name": "side", "datatype": "BYTES", "shape": [-1]}]
        return {"name": stack, "platform": "scales", "inputs": inputs, "outputs": outputs}

    def close(self) -> None:
        pass


def open_engine(stacks: Mapping[str, StackFiles], *, threads: int) -> ScalesEngine:
    base = next(iter(stacks.values())).base
    offset = json.loads((base.directory / "base.json").read_text())["offset"]
    layers = {}
    for name, files in stacks.items():
        path = files.top.directory / "scale.json"
        layers[name] = json.loads(path.read_text()) if path.exists() else {}
        if layers[name].get("misfit"):
            raise LayerRefused("The layer was made for another base.")
        if layers[name].get("aborts_on_open"):
            os.abort()
    return ScalesEngine(offset, layers)
