"""How metadata reaches a site, over real sockets, from hubs good and bad."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)

from dizuo.edge.tuf_fetcher import CacheFirst, HttpFetcher

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Answer = Callable[[socket.socket, threading.Event], None]


@contextmanager
def hub(answer: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """A hub that gives one kind of answer to every connection; its URL, and the request heads."""
    heads: list[bytes] = []
    done = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heads.append(connection.recv(65536))
                with suppress(OSError):  # the client has seen enough
                    answer(connection, done)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heads
    finally:
        done.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(timeout=30)


def fetch(url: str, *, deadline_seconds: float = 30.0, read_seconds: float = 30.0) -> bytes:
    with httpx2.Client(
        base_url=url, headers={"Authorization": "Bearer dz_registry_x"}, timeout=read_seconds
    ) as client:
        fetcher = HttpFetcher(client, deadline_seconds=deadline_seconds)
        return fetcher.download_bytes("/timestamp.json", 1000)


def whole(connection: socket.socket, _done: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")


def test_a_file_arrives_with_the_sites_credential() -> None:
    with hub(whole) as (url, heads):
        assert fetch(url) == b"{}"
    assert heads[0].startswith(b"GET /tuf/timestamp.json HTTP/1.1")
    assert b"Bearer dz_registry_x" in heads[0]


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 500, 503])
def test_another_status_is_not_a_file(status: int) -> None:
    def answer(connection: socket.socket, _done: threading.Event) -> None:
        head = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(head.encode() + b"{}")

    with hub(answer) as (url, heads), pytest.raises(DownloadHTTPError) as caught:
        fetch(url)
    assert caught.value.status_code == status
    assert len(heads) == 1


def test_more_than_was_announced_is_not_read() -> None:
    sent = 0

    def answer(connection: socket.socket, done: threading.Event) -> None:
        nonlocal sent
        connection.sendall(OK + b"Connection: close\r\n\r\n")
        while not done.is_set() and sent < 10**9:
            sent += connection.send(b" " * 10_000)

    with hub(answer) as (url, _), pytest.raises(DownloadLengthMismatchError):
        fetch(url)
    assert sent < 10**8


def test_nothing_is_unpacked() -> None:
    """A small body that would become a large one stays what it is."""
    packed = gzip.compress(b" " * 10**6)

    def answer(connection: socket.socket, _done: threading.Event) -> None:
        head = f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        connection.sendall(OK + head.encode() + packed)

    with hub(answer) as (url, heads), httpx2.Client(base_url=url) as client:
        assert HttpFetcher(client).download_bytes("/timestamp.json", 10_000) == packed
    assert b"accept-encoding: identity" in heads[0].lower()


def test_a_file_that_was_cut_is_not_a_file() -> None:
    def answer(connection: socket.socket, _done: threading.Event) -> None:
        connection.sendall(OK + b"Content-Length: 500\r\n\r\n{")

    with hub(answer) as (url, _), pytest.raises(DownloadError):
        fetch(url)


def test_a_hub_that_says_nothing_is_given_up() -> None:
    def answer(_connection: socket.socket, done: threading.Event) -> None:
        done.wait(timeout=60)

    with hub(answer) as (url, _), pytest.raises(SlowRetrievalError):
        fetch(url, read_seconds=0.2)


def test_a_hub_that_drips_is_given_up() -> None:
    def answer(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(OK + b"Content-Length: 900\r\n\r\n")
        while not done.wait(timeout=0.02):
            connection.sendall(b" ")

    with hub(answer) as (url, _), pytest.raises(SlowRetrievalError):
        fetch(url, deadline_seconds=0.3)


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(DownloadError, match="could not be fetched"):
        fetch(url)


def test_nonsense_is_not_a_file() -> None:
    def answer(connection: socket.socket, _done: threading.Event) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

    with hub(answer) as (url, _), pytest.raises(DownloadError):
        fetch(url)


@pytest.mark.parametrize(
    "url", ["/1.root.json", "/2.root.json", "/root.json", "/../secret.json", "/a/b.json", "x", ""]
)
def test_the_cache_has_no_roots_and_nothing_outside(tmp_path: Path, url: str) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "metadata" / "root.json").write_text("{}")
    with pytest.raises(DownloadHTTPError) as caught:
        CacheFirst(tmp_path / "metadata", None).download_bytes(url, 100)
    assert caught.value.status_code == 404
