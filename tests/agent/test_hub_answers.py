"""What the agent makes of answers that no hub would give: nothing of it ends what serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.agent.agent_process import AgentProcess
from tests.agent.hub_simulator import HubSimulator

from dizuo.agent.egress_log import EgressLog
from dizuo.agent.errors import HubAnswerBroken, HubRefused, HubUnreachable
from dizuo.agent.home import AgentHome
from dizuo.agent.hub_client import MAX_REPLY_BYTES, HubClient, open_client
from dizuo.agent.outbox import Outbox
from dizuo.agent.sender import Sender
from dizuo.agent.state import SiteState
from dizuo.agent.sync import LATEST_POLL_SECONDS, SOONEST_POLL_SECONDS, Backoff, Sync
from dizuo.agent.updater import Updater
from dizuo.core.errors import DizuoError
from dizuo.edge.wire import CheckIn, CheckInReply, DesiredState

CHECK_IN = CheckIn(state="empty", running=DesiredState(generation=0))
DEEP = b"[" * 100_000


@contextlib.contextmanager
def answering(answer: bytes, drip: bytes = b"") -> Iterator[str]:
    """A server of one connection that answers these bytes, and then drips until it is left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(answer)
                while drip and not over.wait(0.02):
                    connection.sendall(drip)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass  # closing before all of the request was read would reset the answer

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join(10)
        assert not thread.is_alive()


def whole(status: int, body: bytes, *headers: str) -> bytes:
    """One HTTP answer."""
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def check_in(url: str) -> CheckInReply:
    with open_client(url, credential="edge", timeout_seconds=5) as client:
        return HubClient(client, call_seconds=0.3).check_in(CHECK_IN)


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (502, DEEP, HubUnreachable, "The hub answered 502."),
        (403, DEEP, HubRefused, "The hub answered 403."),
        (502, b'{"error": ' + b'{"a":' * 50_000, HubUnreachable, "The hub answered 502."),
        (503, b"\xff\xfe", HubUnreachable, "The hub answered 503."),
        (500, b'{"error": "sorry"}', HubUnreachable, "The hub answered 500."),
        (400, b'{"error": {"code": 7}}', HubRefused, "The hub answered 400."),
        (301, b"", HubRefused, "The hub answered 301."),
        (200, DEEP, HubAnswerBroken, "does not have the agreed form"),
        (200, b"", HubAnswerBroken, "does not have the agreed form"),
        (200, b" " * (MAX_REPLY_BYTES + 1), HubAnswerBroken, "does not have the agreed form"),
        (502, b" " * (MAX_REPLY_BYTES + 1), HubAnswerBroken, "does not have the agreed form"),
    ],
)
def test_odd_answers_become_one_sentence(
    status: int, body: bytes, error: type[DizuoError], says: str
) -> None:
    with answering(whole(status, body)) as url, pytest.raises(error, match=says):
        check_in(url)


def test_the_hubs_own_sentence_is_kept_and_bounded() -> None:
    body = b'{"error": {"code": "gone", "message": "%s", "next_step": "Ask."}}' % (b"x" * 9000)
    with answering(whole(409, body)) as url, pytest.raises(HubRefused) as refused:
        check_in(url)
    assert refused.value.message == "x" * 500
    assert (refused.value.status, refused.value.hub_code) == (409, "gone")
    assert refused.value.next_step == "Ask."


def test_a_small_body_that_unpacks_to_a_large_one_is_not_unpacked() -> None:
    packed = whole(200, b"\x1f\x8b\x08\x00" + b"\x00" * 40, "Content-Encoding: gzip")
    with answering(packed) as url, pytest.raises(HubAnswerBroken):
        check_in(url)


def test_an_answer_that_drips_is_given_up() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with answering(head, drip=b" ") as url, pytest.raises(HubUnreachable, match="ReadTimeout"):
        check_in(url)


def test_a_site_serves_on_whatever_stands_at_the_hubs_address(
    site: tuple[AgentProcess, HubSimulator],
) -> None:
    agent, hub = site
    for page in ((502, DEEP), (200, DEEP), (200, b"null"), (404, b"<html>")):
        hub.faults.pages["/edge/v1/"] = page
        contact = agent.status()["hub_contact_ms"]
        agent.wait(lambda status: status["hub_error"])
        assert agent.sides(3.0) == ["high"]
        hub.faults.pages.clear()
        agent.wait(
            lambda status, contact=contact: (  # type: ignore[misc]
                not status["hub_error"] and status["hub_contact_ms"] > contact
            )
        )


class Rehearsal:
    """A hub and an updater that fail as nobody foresaw, a given number of times each."""

    serves = False

    def __init__(self, failures: int, poll_seconds: float = 0.01) -> None:
        self.failures = {"check_in": failures, "restore": failures, "update": failures}
        self.poll_seconds = poll_seconds
        self.updated = threading.Event()
        self.state: SiteState | None = None

    def check_in(self, _state: CheckIn) -> CheckInReply:
        self._stumble("check_in")
        return CheckInReply(desired=DesiredState(generation=1), poll_seconds=self.poll_seconds)

    async def restore(self) -> None:
        self._stumble("restore")

    async def update(self, desired: DesiredState) -> None:
        self._stumble("update")
        assert self.state is not None
        self.state.running = desired
        self.updated.set()

    def _stumble(self, where: str) -> None:
        self.failures[where] -= 1
        if self.failures[where] >= 0:
            raise RecursionError(where)


def run_sync(
    tmp_path: Path, rehearsal: Rehearsal, until: Callable[[Sync, SiteState], bool]
) -> None:
    """Run both conversations until a state is reached, then cancel them."""

    async def scenario() -> None:
        state = rehearsal.state = SiteState(AgentHome(tmp_path), lambda: 5, "none")
        sync = Sync(
            cast(HubClient, rehearsal),
            cast(Updater, rehearsal),
            state,
            Backoff(0.01, 0.02),
            poll_seconds=0.01,
            clock=lambda: 5,
        )
        running = asyncio.create_task(sync.run())
        async with asyncio.timeout(20):
            while not until(sync, state):
                assert not running.done(), running.exception()
                await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())


def test_no_failure_ends_the_conversations(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rehearsal = Rehearsal(failures=2)
    with caplog.at_level(logging.ERROR):
        run_sync(tmp_path, rehearsal, lambda _sync, _state: rehearsal.updated.is_set())
    traced = [record for record in caplog.records if record.exc_info]
    assert len(traced) >= 5  # every one of them with where it came from


def test_the_last_failure_is_on_the_record(tmp_path: Path) -> None:
    status_file = AgentHome(tmp_path).status_file

    def is_told(_sync: Sync, _state: SiteState) -> bool:
        status = json.loads(status_file.read_bytes()) if status_file.exists() else {}
        said = (status.get("hub_error") or "", (status.get("error") or {}).get("message", ""))
        return all("in a way nobody foresaw (RecursionError)" in one for one in said)

    run_sync(tmp_path, Rehearsal(failures=10**6), is_told)


@pytest.mark.parametrize(
    ("wished", "kept"), [(1e-9, SOONEST_POLL_SECONDS), (1e300, LATEST_POLL_SECONDS)]
)
def test_a_hub_cannot_ask_for_a_storm_or_for_silence(
    tmp_path: Path, wished: float, kept: float
) -> None:
    rehearsal = Rehearsal(0, poll_seconds=wished)
    run_sync(tmp_path, rehearsal, lambda sync, _state: sync.poll_seconds == kept)


def test_no_failure_ends_the_sender(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Stumbling(Outbox):
        failures = 2
        emptied = threading.Event()

        def waiting(self) -> list[Any]:
            self.failures -= 1
            if self.failures >= 0:
                raise RecursionError("waiting")
            self.emptied.set()
            return []

    async def scenario() -> None:
        outbox = Stumbling(tmp_path / "outbox")
        log = EgressLog(tmp_path / "egress.jsonl", lambda: 5)
        sender = Sender(outbox, cast(HubClient, None), log, retry_seconds=0.01)
        running = asyncio.create_task(sender.run())
        async with asyncio.timeout(20):
            while not outbox.emptied.is_set():
                assert not running.done(), running.exception()
                await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    assert len([record for record in caplog.records if record.exc_info]) == 2
