"""Open-loop load over HTTP: calls go out when they are due, whether or not earlier ones returned.

The time of a call counts from when it was due, so what a slow server makes later calls wait is
measured too and not left out ("coordinated omission"). Connections are bounded; a call that finds
none free waits for one, and that counts as well.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import psutil

_TIMEOUT_SECONDS = 30.0
_HEAD_START_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """A JSON body to send, or none to ask with; due `due_seconds` after the start, by the holder of
    `credential`."""

    due_seconds: float
    credential: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """Calls in the order in which they are due, to one address.

    `num_connections` bounds how many are under way. With `reconnects` each call opens a connection
    of its own, as a caller does that comes back after the server closed the idle one.
    """

    host: str
    port: int
    path: str
    num_connections: int
    reconnects: bool
    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a load: per answered call its seconds from when it was due, per failed one
    what happened; how many seconds it all took, and of which processor time here."""

    seconds: tuple[float, ...]
    errors: tuple[str, ...]
    wall_seconds: float
    cpu_seconds: float


def generate_apart(load: Load) -> Outcome:
    """As `generate`, in a process of its own, so that it competes with nothing but the server."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(generate, load).result()


def generate(load: Load) -> Outcome:
    """Send every call, and wait for the last answer."""
    line = _Line(load.calls)
    before = psutil.Process().cpu_times()
    with ThreadPoolExecutor(load.num_connections) as senders:
        done = [senders.submit(_send_calls, load, line) for _ in range(load.num_connections)]
        results = [result for sender in done for result in sender.result()]
    after = psutil.Process().cpu_times()
    return Outcome(
        seconds=tuple(result for result in results if isinstance(result, float)),
        errors=tuple(result for result in results if isinstance(result, str)),
        wall_seconds=time.monotonic() - line.start,
        cpu_seconds=after.user + after.system - before.user - before.system,
    )


class _Line:
    """Calls waiting for their time; each is handed out once, to the sender that comes first."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.start = time.monotonic() + _HEAD_START_SECONDS
        self._calls = iter(calls)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[tuple[float, Call]]:
        """The next call with the moment it is due, once that has come."""
        while True:
            with self._lock:
                call = next(self._calls, None)
            if call is None:
                return
            due = self.start + call.due_seconds
            time.sleep(max(0.0, due - time.monotonic()))
            yield due, call


def _send_calls(load: Load, line: _Line) -> list[float | str]:
    connection = http.client.HTTPConnection(load.host, load.port, timeout=_TIMEOUT_SECONDS)
    results: list[float | str] = []
    for due, call in line:
        error = _send(connection, load.path, call)
        results.append(error or time.monotonic() - due)
        if error or load.reconnects:
            connection.close()
    connection.close()
    return results


def _send(connection: http.client.HTTPConnection, path: str, call: Call) -> str:
    """Send one call and read the answer; what went wrong, or an empty string."""
    headers = {"Authorization": f"Bearer {call.credential}", "Content-Type": "application/json"}
    try:
        connection.request("POST" if call.body else "GET", path, call.body, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    return "" if response.status == 200 else f"status {response.status}"
