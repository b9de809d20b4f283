"""Load that goes out when it is due, against a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from benchmarks.rig.open_loop import Call, Load, generate, generate_apart


@dataclass
class Heard:
    """What a server was sent: credentials and bodies, and over how many connections."""

    calls: list[tuple[str, bytes]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)


@contextmanager
def serving(status: int, port_of: list[int]) -> Iterator[Heard]:
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.calls.append((self.headers["Authorization"], body))
            heard.connections.add(self.client_address)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not on the test's screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port_of.append(server.server_port)
        yield heard
        server.shutdown()
        thread.join()


def load(port: int, num_calls: int, **changes: object) -> Load:
    calls = [Call(0.01 * n, f"secret-{n}", b'{"number":%d}' % n) for n in range(num_calls)]
    whole = Load("127.0.0.1", port, "/edge/v1/check-in", 1, False, calls)
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_every_call_is_sent_once_over_one_kept_connection() -> None:
    port: list[int] = []
    with serving(200, port) as heard:
        outcome = generate(load(port[0], 20))
    assert heard.calls == [(f"Bearer secret-{n}", b'{"number":%d}' % n) for n in range(20)]
    assert len(heard.connections) == 1
    assert len(outcome.seconds) == 20
    assert outcome.errors == ()
    assert outcome.wall_seconds >= 0.19


def test_a_caller_that_reconnects_opens_a_connection_for_each_call() -> None:
    port: list[int] = []
    with serving(200, port) as heard:
        generate(load(port[0], 5, reconnects=True))
    assert len(heard.connections) == 5


@pytest.mark.parametrize("num_connections", [2, 8])
def test_connections_are_bounded(num_connections: int) -> None:
    port: list[int] = []
    with serving(200, port) as heard:
        outcome = generate(load(port[0], 30, num_connections=num_connections))
    assert len(outcome.seconds) == 30
    assert len(heard.connections) <= num_connections


def test_a_refusal_is_an_error_and_no_time() -> None:
    port: list[int] = []
    with serving(503, port):
        outcome = generate(load(port[0], 3))
    assert outcome.errors == ("status 503",) * 3
    assert outcome.seconds == ()


def test_a_server_that_is_gone_is_an_error_for_each_call() -> None:
    port: list[int] = []
    with serving(200, port):
        pass
    assert generate(load(port[0], 3)).errors == ("ConnectionRefusedError",) * 3


def test_waiting_for_a_connection_counts() -> None:
    """Two calls due at once over one connection: the second's time holds the first's."""
    port: list[int] = []
    with serving(200, port):
        both = [Call(0.0, "a", b"{}"), Call(0.0, "b", b"{}")]
        first, second = generate(load(port[0], 0, calls=both)).seconds
    assert second > first


def test_a_load_can_be_generated_in_another_process() -> None:
    port: list[int] = []
    with serving(200, port) as heard:
        outcome = generate_apart(load(port[0], 3))
    assert len(outcome.seconds) == len(heard.calls) == 3
