from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dizuo.artifacts.model import StackFiles
from dizuo.families.base import Answer, Observation

LEARNED_NAME = "learned.json"


class ParrotEngine:
    def __init__(self, sayings: Mapping[str, str]) -> None:
        self._sayings = sayings

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        said = self._sayings[stack]
        seen = tuple(Observation(said, 0.75, 0.5, 0.5) for _ in request["texts"])
        return Answer({"answers": [said] * len(seen)}, seen)

    def describe(self, stack: str) -> dict[str, Any]:
        return {"name": stack}

    def close(self) -> None:
        pass


def open_engine(stacks: Mapping[str, StackFiles], *, threads: int) -> ParrotEngine:
    return ParrotEngine(
        {
            name: json.loads((files.top.directory / LEARNED_NAME).read_bytes())["says"]
            for name, files in stacks.items()
        }
    )
