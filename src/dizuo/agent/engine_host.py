"""Keeps one engine alive: starts it, counts what is in flight, replaces it when it dies, drains it.

A host stands for one base and its stacks through any number of processes. A crash of the process
fails the requests that were inside it with `EngineGone`, and the host starts another on the same
files; nothing else in the agent notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dizuo.agent.answers import AnswerStream, EngineAnswer, tell_nobody
from dizuo.agent.engine_link import EngineLink
from dizuo.agent.engine_process import EnginePlan
from dizuo.agent.errors import EngineBusy, EngineFailed, EngineGone, EngineOverdue
from dizuo.core.errors import DizuoError
from dizuo.families.base import Observation
from dizuo.families.errors import GenerationFailed

_FIRST_RESTART_SECONDS = 0.2
_LAST_RESTART_SECONDS = 30.0
_STEADY_SECONDS = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """How long an engine may take to start, how long it may be silent over an answer, and how much
    it takes at a time."""

    start_seconds: float = 120.0
    answer_seconds: float = 60.0
    requests_in_flight: int = 64


class EngineHost:
    """One base, its stacks, and the process that answers for them.

    Args:
        plan: what the engine holds.
        log: the file that its output is appended to.
        limits: bounds on time and load.
        changed: set whenever a count below has changed.
    """

    def __init__(
        self, plan: EnginePlan, log: Path, limits: EngineLimits, changed: asyncio.Event
    ) -> None:
        self.plan = plan
        self._changed = changed
        self._log_file = log
        self._limits = limits
        self._link: EngineLink | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.num_arriving = 0
        """Requests whose bodies are still on their way."""
        self.num_in_flight = 0
        self.num_answers = 0
        self.num_errors = 0
        """Requests that failed through no fault of theirs."""
        self.num_crashes = 0
        """Processes that ended without being asked to."""
        self.stopped = False
        """Whether `stop` was called; a host is not started a second time."""
        self.described: Mapping[str, dict[str, Any]] = {}

    async def start(self) -> None:
        """Start the process, open the stacks in it, and from then on keep one running.

        Raises:
            LayerRefused: a layer does not fit.
            EngineFailed: it died or took too long while it opened them.
        """
        self._link = await self._open()
        self._keeper = asyncio.create_task(self._keep(self._link))

    async def _open(self) -> EngineLink:
        link = await EngineLink.spawn(self._log_file)
        try:
            async with asyncio.timeout(self._limits.start_seconds):
                reply = await link.call({"call": "open", "plan": self.plan.as_dict()})
            self.described = reply.header["described"]
        except BaseException as error:
            link.kill()
            await link.close()
            if isinstance(error, EngineGone | TimeoutError):
                raise EngineFailed(
                    f"The engine for {', '.join(sorted(self.plan.stacks))} did not start.",
                    next_step="See engine.log in the agent's folder.",
                ) from error
            raise
        return link

    async def _keep(self, link: EngineLink) -> None:
        delay = _FIRST_RESTART_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            await link.gone.wait()
            self._link = None
            self.num_crashes += 1
            self._changed.set()
            status = await link.close()
            _log.warning("engine %d ended with status %d; starting another", link.pid, status)
            if loop.time() - started > _STEADY_SECONDS:
                delay = _FIRST_RESTART_SECONDS
            link, delay = await self._reopen(delay)
            self._link = link

    async def _reopen(self, delay: float) -> tuple[EngineLink, float]:
        while True:
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LAST_RESTART_SECONDS)
            try:
                return await self._open(), delay
            except (DizuoError, OSError) as error:
                _log.warning("engine did not start again: %s", error)
            except Exception:  # noqa: BLE001
                # A process edge: whatever the engine said, it must be tried again.
                _log.exception("an engine did not start again in a way nobody foresaw")

    @property
    def alive(self) -> bool:
        """Whether it could answer now."""
        return self._link is not None and not self._link.gone.is_set()

    @property
    def pid(self) -> int | None:
        """The process, if there is one now."""
        return self._link.pid if self._link else None

    def memory_bytes(self) -> int:
        """What the process holds in memory now."""
        return self._link.memory_bytes() if self._link else 0

    @contextlib.contextmanager
    def arriving(self) -> Iterator[None]:
        """A place for a request whose body is to be read within the block.

        It counts against the limit, so that no body is kept for which there is no place, but does
        not hold up `stop`: the request may yet go to another host. Whoever calls `infer` right
        after the block, with nothing awaited in between, has kept the place.

        Raises:
            EngineBusy: there is none.
        """
        if self.num_arriving + self.num_in_flight >= self._limits.requests_in_flight:
            raise _busy()
        self.num_arriving += 1
        try:
            yield
        finally:
            self.num_arriving -= 1

    async def infer(self, served_as: str, body: bytes) -> EngineAnswer:
        """Answer one request body.

        The request counts as in flight from the moment of the call, before anything is awaited: who
        looked up this host and calls it at once cannot lose it to a switch.

        Raises:
            EngineBusy: too many requests are in flight.
            EngineGone: the process died under the request, or is being replaced.
            DizuoError: what the engine answered instead.
        """
        with self._answering():
            return await self._ask(served_as, body, tell_nobody)

    def stream(self, served_as: str, body: bytes) -> AnswerStream:
        """As `infer`, but the answer comes bit by bit; it too counts from the moment of the call.

        Raises:
            EngineBusy: too many requests are in flight; all else comes with the answer.
        """
        place = self._answering()
        place.__enter__()
        return AnswerStream(
            lambda tell: self._ask(served_as, body, tell),
            ended=lambda error: place.__exit__(type(error) if error else None, error, None),
        )

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        if self.num_in_flight >= self._limits.requests_in_flight:
            raise _busy()
        self.num_in_flight += 1
        self._idle.clear()
        try:
            yield
            self.num_answers += 1
        except (EngineFailed, EngineOverdue, GenerationFailed):
            self.num_errors += 1
            raise
        finally:
            self._changed.set()
            self.num_in_flight -= 1
            if not self.num_in_flight:
                self._idle.set()

    async def _ask(
        self, served_as: str, body: bytes, tell: Callable[[bytes], None]
    ) -> EngineAnswer:
        link = self._link
        if link is None:
            raise EngineGone(
                "The engine of this model is being started again.",
                next_step="Try again in a moment.",
            )
        patience, clock = self._limits.answer_seconds, asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(patience) as bound:

                def more(chunk: bytes) -> None:
                    bound.reschedule(clock() + patience)
                    if chunk:
                        tell(chunk)

                reply = await link.call({"call": "infer", "stack": served_as}, body, more)
        except TimeoutError as error:
            link.kill()  # one hung call would hang its worker for ever
            raise EngineOverdue(
                "The engine took too long and is being replaced.",
                next_step="Try again in a moment, with a smaller request.",
            ) from error
        observations = tuple(Observation(**fields) for fields in reply.header["observations"])
        return EngineAnswer(reply.body, observations)

    async def stop(self, drain_seconds: float) -> bool:
        """Let what is in flight finish, then end the process. Returns whether all of it finished.

        Whoever calls this has already seen to it that no new requests come.
        """
        self.stopped = True
        drained = True
        try:
            async with asyncio.timeout(drain_seconds):
                await self._idle.wait()
        except TimeoutError:
            drained = False
            _log.warning("%d requests were cut off when their engine stopped", self.num_in_flight)
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._link is not None:
            await self._link.close()
            self._link = None
        return drained


def _busy() -> EngineBusy:
    return EngineBusy("The engine is at its limit.", next_step="Try again in a moment.")
