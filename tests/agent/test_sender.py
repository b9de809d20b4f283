"""Emptying the outbox into the hub, and what the hub may answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import httpx2
import pytest
from tests.agent.hub_simulator import HubSimulator, SimulatedSite
from tests.agent.test_outbox import put, sample

from dizuo.agent.egress_log import EgressLog
from dizuo.agent.errors import HubAnswerBroken, HubRefused, HubUnreachable
from dizuo.agent.hub_client import HubClient, open_client
from dizuo.agent.outbox import Outbox, Waiting
from dizuo.agent.sender import UPLOAD_BYTES, Sender, batches
from dizuo.core.clock import now_ms
from dizuo.edge.wire import (
    MAX_SAMPLES_PER_UPLOAD,
    Body,
    Sample,
    SampleReceipt,
    SampleUpload,
)


@pytest.fixture
def client(hub: HubSimulator) -> Iterator[httpx2.Client]:
    hub.sites["site3"] = SimulatedSite("site3", "edge-secret", "registry-secret")
    with open_client(hub.url, credential="edge-secret", timeout_seconds=5) as opened:
        yield opened


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


@pytest.fixture
def sender(tmp_path: Path, outbox: Outbox, client: httpx2.Client) -> Sender:
    log = EgressLog(tmp_path / "egress.jsonl", now_ms)
    return Sender(outbox, HubClient(client), log, retry_seconds=0.1, retry_seconds_at_most=0.3)


def log_lines(folder: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (folder / "egress.jsonl").read_text().splitlines()]
    return [(line["what"], line["why"]) for line in lines]


def test_what_the_hub_took_is_forgotten(
    sender: Sender, outbox: Outbox, hub: HubSimulator, tmp_path: Path
) -> None:
    put(outbox, *(sample(number) for number in range(70)))
    sender.send_waiting()
    assert outbox.count() == 0
    assert len(hub.samples) == 70
    assert hub.uploads == [MAX_SAMPLES_PER_UPLOAD, 70 - MAX_SAMPLES_PER_UPLOAD]
    assert set(log_lines(tmp_path)) == {("accepted", "")}


def test_nothing_to_send_asks_nothing(sender: Sender, hub: HubSimulator) -> None:
    sender.send_waiting()
    assert hub.requests == []


def test_sending_again_is_harmless(sender: Sender, outbox: Outbox, hub: HubSimulator) -> None:
    put(outbox, sample(1))
    sender.send_waiting()
    put(outbox, sample(1))
    sender.send_waiting()
    assert len(hub.samples) == 1
    assert outbox.count() == 0


def test_an_answer_that_is_lost_costs_a_second_sending(
    sender: Sender, outbox: Outbox, hub: HubSimulator
) -> None:
    put(outbox, sample(1))
    hub.faults.cuts["/samples"] = 5
    with pytest.raises(HubUnreachable):
        sender.send_waiting()
    assert (outbox.count(), len(hub.samples)) == (1, 1)
    hub.faults.cuts.clear()
    sender.send_waiting()
    assert (outbox.count(), len(hub.samples)) == (0, 1)


def test_refused_samples_are_dropped_with_the_reason(
    sender: Sender, outbox: Outbox, hub: HubSimulator, tmp_path: Path
) -> None:
    bad = sample(1)
    hub.refuses = lambda one: "unknown stack" if one.digest == bad.digest else ""
    put(outbox, bad, sample(2))
    sender.send_waiting()
    assert outbox.count() == 0
    assert set(hub.samples) == {sample(2).digest}
    assert ("refused", "unknown stack") in log_lines(tmp_path)


def test_what_the_hub_says_nothing_about_waits(
    sender: Sender, outbox: Outbox, hub: HubSimulator
) -> None:
    put(outbox, sample(1))
    hub.faults.changes["/samples"] = lambda _body: b'{"accepted": [], "refused": []}'
    with pytest.raises(HubAnswerBroken, match="did not say what became of 1 of 1 samples"):
        sender.send_waiting()
    assert outbox.count() == 1


def test_what_the_hub_says_nothing_about_is_sent_again_by_itself(
    sender: Sender, outbox: Outbox, hub: HubSimulator
) -> None:
    def not_of_the_first(body: bytes) -> bytes:
        told = json.loads(body)
        return json.dumps({**told, "accepted": told["accepted"][1:]}).encode()

    put(outbox, *(sample(number) for number in range(5)))
    hub.faults.changes["/samples"] = not_of_the_first

    async def scenario() -> None:
        running = asyncio.create_task(sender.run())
        await until(lambda: outbox.count() == 1)
        hub.faults.changes.clear()
        await until(lambda: outbox.count() == 0)
        running.cancel()

    asyncio.run(scenario())
    assert len(hub.samples) == 5


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_sample_too_large_for_the_hub_does_not_hold_up_the_others(
    sender: Sender, outbox: Outbox, hub: HubSimulator, tmp_path: Path
) -> None:
    hub.upload_bytes_at_most = 20_000
    put(outbox, *(sample(number, size=30_000 * (number == 3)) for number in range(8)))
    sender.send_waiting()
    assert outbox.count() == 0
    assert set(hub.samples) == {sample(n).digest for n in range(8) if n != 3}
    ((outcome, why),) = {line for line in log_lines(tmp_path) if line[0] != "accepted"}
    assert outcome == "refused"
    assert why.startswith("The request is larger than 20000 bytes.")


class OlderSample(Sample):
    """A hub that has not heard of novelty."""

    reason: Literal["uncertain", "control"]


class OlderUpload(Body):
    samples: tuple[OlderSample, ...]


class NewerUpload(SampleUpload):
    """A hub that wants what this agent does not say."""

    sent_ms: int


def test_a_hub_of_another_version_deletes_nothing(
    sender: Sender, outbox: Outbox, hub: HubSimulator, tmp_path: Path
) -> None:
    put(outbox, *(sample(number) for number in range(70)))
    hub.upload_form = NewerUpload
    for _ in range(3):
        with pytest.raises(HubRefused, match="wrong at sent_ms: Field required") as refused:
            sender.send_waiting()
        assert (refused.value.status, refused.value.hub_code) == (400, "invalid_input")
    assert outbox.count() == 70
    assert len(hub.requests) < 30  # it does not ask for each of them
    hub.upload_form = SampleUpload  # somebody upgraded it
    sender.send_waiting()
    assert (outbox.count(), len(hub.samples)) == (0, 70)
    assert set(log_lines(tmp_path)) == {("accepted", "")}


def test_what_one_version_does_not_understand_waits_behind_the_others(
    sender: Sender, outbox: Outbox, hub: HubSimulator
) -> None:
    news = [sample(n, at=n).model_copy(update={"reason": "novel"}) for n in (0, 40)]
    put(outbox, *news, *(sample(n, at=n) for n in range(1, 70) if n != 40))
    hub.upload_form = OlderUpload
    for _ in range(3):
        with pytest.raises(HubRefused, match="wrong at samples"):
            sender.send_waiting()
    assert {item.digest for item in outbox.waiting()} == {one.digest for one in news}
    assert len(hub.samples) == 68


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("page", [b"<html>", b'{"error": {"code": "body_too_large"}}'])
def test_a_proxys_page_deletes_nothing(
    sender: Sender, outbox: Outbox, hub: HubSimulator, *, status: int, page: bytes
) -> None:
    put(outbox, *(sample(number) for number in range(8)))
    hub.faults.pages["/samples"] = (status, page)
    for _ in range(10):
        with pytest.raises(HubRefused, match=f"The hub answered {status}"):
            sender.send_waiting()
    assert outbox.count() == 8
    hub.faults.pages.clear()
    sender.send_waiting()
    assert (outbox.count(), len(hub.samples)) == (0, 8)


def test_a_proxy_that_takes_less_than_the_hub_gets_it_in_parts(
    sender: Sender, outbox: Outbox, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = HubClient.send_samples

    def through_proxy(self: HubClient, upload: SampleUpload) -> SampleReceipt:
        if len(upload.model_dump_json()) > 20_000:
            raise HubRefused("The hub answered 413.", status=413)
        return whole(self, upload)

    monkeypatch.setattr(HubClient, "send_samples", through_proxy)
    put(outbox, *(sample(number, size=8_000 + 30_000 * (number == 3)) for number in range(8)))
    for _ in range(2):
        with pytest.raises(HubRefused, match="answered 413"):
            sender.send_waiting()
    assert [item.digest for item in outbox.waiting()] == [sample(3, size=38_000).digest]


def test_the_wait_doubles_while_the_hub_refuses_and_not_while_it_is_gone(
    sender: Sender, outbox: Outbox, hub: HubSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    answers = iter([403, 403, 503, 403, 503, None])

    async def note(seconds: float) -> None:
        waits.append(seconds)
        prepare()

    def prepare() -> None:
        status = next(answers)
        hub.faults.statuses = {} if status is None else {"/samples": status}

    monkeypatch.setattr("dizuo.agent.sender.asyncio", SimpleNamespace(sleep=note))
    put(outbox, sample(1))
    prepare()

    async def scenario() -> None:
        running = asyncio.create_task(sender.run())
        await until(lambda: outbox.count() == 0)
        running.cancel()

    asyncio.run(scenario())
    assert waits == pytest.approx([0.1, 0.2, 0.1, 0.3, 0.1])


@pytest.mark.parametrize(
    ("status", "error"), [(401, HubRefused), (403, HubRefused), (429, HubUnreachable)]
)
def test_refusals_of_the_site_keep_the_samples(
    sender: Sender, outbox: Outbox, hub: HubSimulator, status: int, error: type[Exception]
) -> None:
    put(outbox, sample(1))
    hub.faults.statuses["/samples"] = status
    with pytest.raises(error, match=f"The hub answered {status}"):
        sender.send_waiting()
    assert outbox.count() == 1


def test_nonsense_keeps_the_samples(sender: Sender, outbox: Outbox, hub: HubSimulator) -> None:
    put(outbox, sample(1))
    hub.faults.changes["/samples"] = lambda _body: b"<html>"
    with pytest.raises(HubAnswerBroken):
        sender.send_waiting()
    assert outbox.count() == 1


def test_uploads_are_bounded_in_number_and_bytes(tmp_path: Path) -> None:
    def waiting(number: int, size: int) -> Waiting:
        return Waiting(f"sha256:{number}", tmp_path / str(number), size)

    third = UPLOAD_BYTES // 3
    items = [waiting(number, third) for number in range(7)]
    items.append(waiting(7, UPLOAD_BYTES * 2))
    items += [waiting(number, 1) for number in range(8, 80)]
    found = batches(items)
    assert [item for batch in found for item in batch] == items
    assert all(
        len(batch) == 1 or sum(item.size_bytes for item in batch) <= UPLOAD_BYTES for batch in found
    )
    assert max(len(batch) for batch in found) == MAX_SAMPLES_PER_UPLOAD
    assert batches([]) == []
