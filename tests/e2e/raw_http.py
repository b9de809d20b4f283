"""HTTP as no client library sends it: the head of a request and the beginning of its body."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Answered:
    """An answer that came before the body had."""

    status: int
    body: dict[str, Any]


def begin(url: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
    """Send a head and these bytes only, whatever the head announces, and read the answer."""
    parts = urlsplit(url)
    assert parts.hostname
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    with socket.create_connection((parts.hostname, parts.port or 80), _PATIENCE_SECONDS) as line:
        line.settimeout(_PATIENCE_SECONDS)
        line.sendall(head + body)
        answer = http.client.HTTPResponse(line, method=method)
        answer.begin()
        return Answered(answer.status, json.loads(answer.read()))
