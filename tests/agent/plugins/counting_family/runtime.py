"""The engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dizuo.artifacts.model import StackFiles
from dizuo.families.base import Answer


class CountingEngine:
    """See `dizuo.families.base.StreamingEngine`."""

    calls_at_once = 1

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        return self.stream(stack, request, lambda _chunk: True)

    def stream(
        self,
        stack: str,
        request: Mapping[str, Any],
        emit: Callable[[Mapping[str, Any] | None], bool],
    ) -> Answer:
        count, wanted = 0, True
        while wanted and count != request.get("up_to"):
            count += 1
            wanted = emit({"count": count} if request.get("stream") else None)
        return Answer({"model": stack, "counted": count}, ())

    def describe(self, stack: str) -> dict[str, Any]:
        return {"name": stack, "platform": "counting", "inputs": [], "outputs": []}

    def close(self) -> None:
        pass


def open_engine(_stacks: Mapping[str, StackFiles], *, threads: int) -> CountingEngine:
    return CountingEngine()
