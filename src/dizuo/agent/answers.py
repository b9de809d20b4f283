"""What an engine answers: at once, or bit by bit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from dizuo.families.base import Observation


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """One reply: the response body as bytes of JSON, and an observation of each row."""

    body: bytes
    observations: tuple[Observation, ...]


def tell_nobody(_chunk: bytes) -> None:
    """Nobody wants the chunks of an answer."""


class AnswerStream:
    """An answer on its way.

    Args:
        ask: makes the answer; is given what to call with each chunk.
        ended: told once, with the error if there was one, whatever became of the answer.
    """

    def __init__(
        self,
        ask: Callable[[Callable[[bytes], None]], Coroutine[Any, Any, EngineAnswer]],
        ended: Callable[[BaseException | None], object],
    ) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ended = ended
        self._task = asyncio.create_task(ask(self._chunks.put_nowait))
        # A task that is cancelled before its first step runs nothing of its coroutine.
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[EngineAnswer]) -> None:
        self._ended(asyncio.CancelledError() if task.cancelled() else task.exception())
        self._chunks.put_nowait(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks as they come, each one JSON object; ends with the answer."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    async def whole(self) -> EngineAnswer:
        """The answer when it is done.

        Raises:
            DizuoError: as `EngineHost.infer`.
        """
        return await asyncio.shield(self._task)

    async def close(self) -> None:
        """Nobody wants the rest; returns once the engine has been told."""
        self._task.cancel()
        await asyncio.wait([self._task])
