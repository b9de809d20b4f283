"""One engine process as the agent holds it: its pid, its socket, and the calls under way.

A link lives as long as its process; starting a fresh process is a fresh link. Everything here runs
on the agent's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dizuo.agent.answers import tell_nobody
from dizuo.agent.errors import EngineGone
from dizuo.agent.frames import Frame, receive_frame
from dizuo.core.errors import DizuoError, InvalidInput, error_tree
from dizuo.families.errors import LayerRefused

_STREAM_LIMIT_BYTES = 1 << 20
_KILL_AFTER_SECONDS = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call under way: where its reply goes, and who is told what comes before it."""

    reply: asyncio.Future[Frame]
    more: Callable[[bytes], None]


class EngineLink:
    """A running engine process. Make one with `spawn`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count()
        self._pending: dict[int, _Call] = {}
        self.gone = asyncio.Event()
        """Set once the process can answer no more."""
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def spawn(cls, log: Path) -> EngineLink:
        """Start a process; what it prints is appended to the file `log`.

        Raises:
            OSError: no process can be started.
        """
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "dizuo.agent.engine_process", "--fd", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours, limit=_STREAM_LIMIT_BYTES)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def memory_bytes(self) -> int:
        """What the process holds in memory now; 0 once it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    async def call(
        self,
        header: dict[str, Any],
        body: bytes = b"",
        more: Callable[[bytes], None] = tell_nobody,
    ) -> Frame:
        """Send one call and wait for its reply. Who stops waiting ends the call in the engine too.

        Args:
            header: what is called.
            body: passed on as it is.
            more: told each chunk that comes before the reply; an empty one is a sign of life.

        Raises:
            EngineGone: the process ended before it answered.
            DizuoError: what the engine answered instead of a result.
        """
        if self.gone.is_set():
            raise _gone()
        number = next(self._numbers)
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending[number] = _Call(future, more)
        try:
            self._writer.write(Frame({**header, "id": number}, body).encode())
            await self._writer.drain()
            reply = await future
        except ConnectionError as error:
            raise _gone() from error
        except asyncio.CancelledError:
            if not self.gone.is_set():
                self._writer.write(Frame({"call": "cancel", "id": number}).encode())
            raise
        finally:
            self._pending.pop(number, None)
        if "error" in reply.header:
            raise relayed(reply.header)
        return reply

    async def _listen(self) -> None:
        try:
            while (frame := await receive_frame(self._reader)) is not None:
                call = self._pending.get(frame.header.get("id", -1))
                if call is None or call.reply.done():
                    continue
                if frame.header.get("more"):
                    call.more(frame.body)
                else:
                    call.reply.set_result(frame)
        except Exception:  # noqa: BLE001
            # A process edge: what does not speak as an engine does is replaced.
            _log.exception("engine %d does not speak as an engine does", self.pid)
            self.kill()
        finally:
            self.gone.set()
            for call in self._pending.values():
                if not call.reply.done():
                    call.reply.set_exception(_gone())

    async def close(self) -> int:
        """End the process and wait until it is gone; returns its exit status."""
        self._writer.close()
        try:
            async with asyncio.timeout(_KILL_AFTER_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        status = await self._process.wait()
        await self._listener
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
        return status

    def kill(self) -> None:
        """End the process at once, without waiting."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def _gone() -> EngineGone:
    return EngineGone(
        "The engine of this model is being started again.", next_step="Try again in a moment."
    )


def relayed(header: dict[str, Any]) -> DizuoError:
    """The error that an engine's reply carries, as an exception of the class its code names.

    A family may have codes that this process has not loaded; those become the class of their HTTP
    status that promises least.
    """
    fields = header["error"]
    known = {cls.code: cls for cls in reversed(error_tree())}
    fallback = InvalidInput if header["http_status"] < 422 else LayerRefused
    cls = known.get(fields["code"], fallback)
    return cls(fields["message"], next_step=fields["next_step"])
