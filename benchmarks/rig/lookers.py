"""People who look at live pages, without their browsers: a page fetched, and its socket held open.

`python -m benchmarks.rig.lookers URL COOKIE PATH ...` holds a page open at each path, prints a line
once all of them stand, and another with how many messages came when its standard input ends.
"""

from __future__ import annotations

import ast
import asyncio
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


@contextmanager
def looking(url: str, cookie: str, paths: Sequence[str]) -> Iterator[list[int]]:
    """Somebody at each of the pages, in a process of their own, while the block runs; afterwards
    the list holds how many messages they got."""
    command = [sys.executable, "-m", "benchmarks.rig.lookers", url, cookie, *paths]
    messages: list[int] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield messages
        process.stdin.close()
        messages.append(int(process.stdout.readline()))


async def _look(url: str, cookie: str, path: str, counted: list[int]) -> socketio.AsyncClient:
    headers = {"Cookie": cookie, "Origin": url}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        page = (await client.get(path)).raise_for_status().text
    found = _QUERY.search(page)
    assert found is not None, "the page names the socket's parameters"
    query = {**ast.literal_eval(found.group(1)), "implicit_handshake": "true"}
    query |= {"document_id": str(uuid.uuid4()), "tab_id": str(uuid.uuid4())}
    socket = socketio.AsyncClient(reconnection=False)

    def count(*_: object) -> None:
        counted[0] += 1

    socket.on("*", count)
    await socket.connect(
        f"{url}?{urlencode(query)}",
        headers=headers,
        transports=["websocket"],
        socketio_path="/_nicegui_ws/socket.io",
    )
    return socket


async def _hold(url: str, cookie: str, paths: Sequence[str]) -> None:
    counted = [0]
    sockets = [await _look(url, cookie, path, counted) for path in paths]
    print("looking", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(counted[0], flush=True)
    for socket in sockets:
        await socket.disconnect()


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], sys.argv[2], sys.argv[3:]))
