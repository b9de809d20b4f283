"""Emptying the outbox into the hub, and what the hub may answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

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
from dizuo.edge.wire import MAX_SAMPLES_PER_UPLOAD


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
    return Sender(outbox, HubClient(client), log, retry_seconds=0.1)


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
    sender.send_waiting()
    assert outbox.count() == 1


def test_one_bad_sample_does_not_hold_up_the_others(
    sender: Sender, outbox: Outbox, hub: HubSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = sample(3)
    whole = HubClient.send_samples

    def refuse_whole(self: HubClient, upload: object) -> object:
        if bad in upload.samples:  # type: ignore[attr-defined]
            raise HubRefused("The row is wrong.", status=422)
        return whole(self, upload)  # type: ignore[arg-type]

    monkeypatch.setattr(HubClient, "send_samples", refuse_whole)
    put(outbox, *(sample(number) for number in range(8)))
    sender.send_waiting()
    assert outbox.count() == 0
    assert set(hub.samples) == {sample(n).digest for n in range(8) if n != 3}


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
