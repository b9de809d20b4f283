"""Closed-loop load over HTTP: a fixed number of callers, each of whom asks again once answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil

from dizuo.core.errors import DizuoError

_TIMEOUT_SECONDS = 300.0
_TICK_SECONDS = 0.01
"""The least processor time that the system tells of."""


class CallFailed(DizuoError):
    """A request of a measurement was not answered, so its figures mean nothing."""

    code = "benchmark_call_failed"


@dataclass(frozen=True, slots=True)
class Post:
    """One POST of a JSON body to an address."""

    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Throughput:
    """Requests a second of wall clock, and of processor time of the processes that answered; the
    seconds of a request, and what was answered."""

    num_requests: int
    requests_per_second: float
    requests_per_cpu_second: float
    p50_seconds: float
    p95_seconds: float
    answers: tuple[bytes, ...]

    def as_dict(self) -> dict[str, Any]:
        """The figures."""
        return {
            "num_requests": self.num_requests,
            "requests_per_second": round(self.requests_per_second, 4),
            "requests_per_cpu_second": round(self.requests_per_cpu_second, 4),
            "p50_seconds": round(self.p50_seconds, 4),
            "p95_seconds": round(self.p95_seconds, 4),
        }


def ask_all(posts: Sequence[Post], num_callers: int, pid: int) -> Throughput:
    """Send every request, and wait for the last answer.

    Args:
        posts: sent in this order.
        num_callers: requests under way at the same time.
        pid: the process that answers; its children count too.

    Raises:
        CallFailed: one was answered by something else than 200, or not at all.
    """
    line, lock = iter(range(len(posts))), threading.Lock()
    seconds: list[float] = [0.0] * len(posts)
    answers: list[bytes] = [b""] * len(posts)

    def call_on() -> None:
        connections: dict[str, http.client.HTTPConnection] = {}
        while True:
            with lock:
                number = next(line, None)
            if number is None:
                break
            started = time.perf_counter()
            answers[number] = _send(connections, posts[number])
            seconds[number] = time.perf_counter() - started
        for connection in connections.values():
            connection.close()

    cpu_before, started = _cpu_seconds(pid), time.perf_counter()
    with ThreadPoolExecutor(num_callers) as callers:
        for done in [callers.submit(call_on) for _ in range(num_callers)]:
            done.result()
    wall, cpu = time.perf_counter() - started, _cpu_seconds(pid) - cpu_before
    return Throughput(
        num_requests=len(posts),
        requests_per_second=len(posts) / wall,
        requests_per_cpu_second=len(posts) / max(cpu, _TICK_SECONDS),
        p50_seconds=float(np.percentile(seconds, 50)),
        p95_seconds=float(np.percentile(seconds, 95)),
        answers=tuple(answers),
    )


def require_as_long(ours: Throughput, theirs: Throughput) -> None:
    """See that two sides wrote as much in answer to the same chats.

    Raises:
        CallFailed: they did not, so their rates are not of the same work.
    """
    for number, pair in enumerate(zip(ours.answers, theirs.answers, strict=True), start=1):
        one, other = (json.loads(answer)["usage"]["completion_tokens"] for answer in pair)
        if one != other:
            raise CallFailed(
                f"Request {number} was answered with {one} tokens by one side and {other} by the"
                " other.",
                next_step="Ask for answers that end by their length.",
            )


def _cpu_seconds(pid: int) -> float:
    times = [process.cpu_times() for process in with_children(pid)]
    return float(sum(one.user + one.system for one in times))


def with_children(pid: int) -> list[psutil.Process]:
    """A process and all that it started, directly or not."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _send(connections: dict[str, http.client.HTTPConnection], post: Post) -> bytes:
    address = urlsplit(post.url)
    connection = connections.get(address.netloc)
    if connection is None:
        connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT_SECONDS)
        connections[address.netloc] = connection
    headers = {"Content-Type": "application/json"}
    try:
        connection.request("POST", address.path, post.body, headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise CallFailed(f"{post.url} did not answer ({type(error).__name__}).") from error
    if response.status != 200:
        raise CallFailed(f"{post.url} answered {response.status}: {body[:200]!r}.")
    return body
