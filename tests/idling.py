"""Connections on which nobody asks anything for a while."""

from __future__ import annotations

import select
import socket

import httpx2


def outlives_a_client(url: str, path: str) -> bool:
    """Whether a server keeps a connection for longer than an HTTP client would, after an answer."""
    address, limit = httpx2.URL(url), httpx2.Limits().keepalive_expiry
    assert limit is not None
    with socket.create_connection((address.host, address.port or 80), timeout=30) as opened:
        opened.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.host}\r\n\r\n".encode())
        answer = opened.recv(65536)
        assert answer.startswith(b"HTTP/1.1 "), answer
        while select.select([opened], [], [], limit + 1)[0]:
            if not opened.recv(65536):
                return False
        return True
