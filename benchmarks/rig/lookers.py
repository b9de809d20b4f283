"""People who look at live pages, without their browsers: a page fetched, and its socket held open.

`python -m benchmarks.rig.lookers URL COOKIE PATH ...` holds a page open at each path, prints a line
once all of them stand, and another when its standard input ends: a JSON list of how often each of
the pages has been told something new since then.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlencode

import httpx2
import socketio

_QUERY = re.compile(r"query: (\{.*?\}),\n")  # written as Python writes it
_NEWS = "update"
"""What a page is sent when something on it has changed."""


@contextmanager
def looking(url: str, cookie: str, paths: Sequence[str]) -> Iterator[list[tuple[str, int]]]:
    """Somebody at each of the pages, in a process of their own, while the block runs; afterwards
    the list holds each path with how much news it got."""
    command = [sys.executable, "-m", "benchmarks.rig.lookers", url, cookie, *paths]
    news: list[tuple[str, int]] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield news
        process.stdin.close()
        news += zip(paths, json.loads(process.stdout.readline()), strict=True)


class _Looker:
    """Somebody at one page."""

    def __init__(self, url: str, cookie: str) -> None:
        self._url = url
        self._headers = {"Cookie": cookie, "Origin": url}
        self._socket = socketio.AsyncClient(reconnection=False)
        self._socket.on(_NEWS, self._count)
        self.num_news = 0

    def _count(self, *_: object) -> None:
        self.num_news += 1

    async def open(self, path: str) -> None:
        """Fetch a page, and hold its socket open."""
        async with httpx2.AsyncClient(
            base_url=self._url, headers=self._headers, timeout=30
        ) as client:
            page = (await client.get(path)).raise_for_status().text
        found = _QUERY.search(page)
        assert found is not None, "the page names the socket's parameters"
        query = {**ast.literal_eval(found.group(1)), "implicit_handshake": "true"}
        query |= {"document_id": str(uuid.uuid4()), "tab_id": str(uuid.uuid4())}
        await self._socket.connect(
            f"{self._url}?{urlencode(query)}",
            headers=self._headers,
            transports=["websocket"],
            socketio_path="/_nicegui_ws/socket.io",
        )

    async def leave(self) -> None:
        await self._socket.disconnect()


async def _hold(url: str, cookie: str, paths: Sequence[str]) -> None:
    lookers = [_Looker(url, cookie) for _ in paths]
    for looker, path in zip(lookers, paths, strict=True):
        await looker.open(path)
    before = [looker.num_news for looker in lookers]
    print("looking", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    news = [now.num_news - then for now, then in zip(lookers, before, strict=True)]
    print(json.dumps(news), flush=True)
    for looker in lookers:
        await looker.leave()


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], sys.argv[2], sys.argv[3:]))
