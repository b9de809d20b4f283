"""The sampler on its thread: answers never wait, and what is lost is counted."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Literal

import pytest
from tests.agent.agent_process import request
from tests.agent.test_sampler import DIRECTION, DULL, UNSURE, Site

from dizuo.agent.outbox import Leaving, Outbox
from dizuo.agent.sampler import Answered, Chosen, Exits, Sampler, SamplerRules
from dizuo.agent.sampler_queue import BATCH_LENGTH
from dizuo.agent.sampler_scores import Thresholds
from dizuo.agent.sampler_thread import SamplerThread
from dizuo.edge.egress import policy
from dizuo.families.base import Observation


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


def test_the_thread_looks_at_everything_before_it_ends(site: Site) -> None:
    woken = threading.Event()
    thread = SamplerThread(site.sampler, site.log, woken.set)
    for start in range(5):
        body = json.dumps(request(float(start))).encode()
        thread.offer(Answered(DIRECTION, body, (UNSURE,)))
    thread.close()
    assert len(site.queued()) == 5
    assert woken.is_set()


def test_a_request_that_cannot_be_sampled_does_not_stop_the_next(site: Site) -> None:
    thread = SamplerThread(site.sampler, site.log, lambda: None)
    thread.offer(Answered(DIRECTION, b"not JSON", (UNSURE,)))
    thread.offer(Answered(DIRECTION, json.dumps(request(1.0)).encode(), (UNSURE,)))
    thread.close()
    assert len(site.queued()) == 1


class Stalled(Sampler):
    """Looks at nothing until it is let go."""

    gate: threading.Event
    begun: threading.Event

    def examine(self, chosen: Chosen) -> list[Leaving]:
        self.begun.set()
        self.gate.wait(10)
        return super().examine(chosen)


def stalled(site: Site) -> tuple[SamplerThread, threading.Event]:
    """A thread that has taken one request and hangs over it, and what lets it go."""
    sampler = site.sampler
    sampler.__class__ = Stalled
    assert isinstance(sampler, Stalled)
    sampler.gate, sampler.begun = threading.Event(), threading.Event()
    return SamplerThread(sampler, site.log, lambda: None), sampler.gate


def offer(thread: SamplerThread, value: float, *observations: Observation) -> None:
    values = [value + index / 100 for index in range(len(observations))]
    thread.offer(Answered(DIRECTION, json.dumps(request(*values)).encode(), observations))


def accounted(site: Site) -> dict[str, int]:
    """How many rows the egress log tells of, by what became of them or why they stayed."""
    found: dict[str, int] = {}
    for line in site.lines():
        key = "allowed" if line["what"] == "allowed" else line["why"]
        found[key] = found.get(key, 0) + line.get("num_rows", 1)
    return found


def test_an_overloaded_sampler_never_makes_answers_wait_and_counts(site: Site) -> None:
    thread, gate = stalled(site)
    for value in range(400):
        offer(thread, value, UNSURE)
    assert 400 > thread.backlog >= 200
    assert thread.num_dropped == 400 - thread.backlog
    gate.set()
    thread.close()
    assert (thread.backlog, len(site.queued()) + thread.num_dropped) == (0, 400)
    assert accounted(site) == {
        "allowed": len(site.queued()),
        "The sampler was behind.": thread.num_dropped,
    }


def test_the_control_share_is_not_lost_under_load(tmp_path: Path) -> None:
    idle = Site(tmp_path / "idle", control_share=0.01)
    drawn = set()
    for value in range(2000):
        chosen = idle.sampler.choose(Answered(DIRECTION, b"", (UNSURE, DULL)))
        assert chosen is not None
        drawn |= {value + i / 100 for i, reason, _ in chosen.rows if reason == "control"}
    busy = Site(tmp_path / "busy", control_share=0.01)  # with the same seed
    thread, gate = stalled(busy)
    for value in range(2000):
        offer(thread, value, UNSURE, DULL)
    gate.set()
    thread.close()
    assert thread.num_dropped > 1000
    assert {s.row["value"] for s in busy.queued() if s.reason == "control"} == drawn
    assert len(drawn) > 25


def test_what_fails_is_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    thread = SamplerThread(site.sampler, site.log, lambda: None)
    thread.offer(Answered(DIRECTION, b"not JSON", (UNSURE, UNSURE)))
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "put", full)
        offer(thread, 1.0, UNSURE)
        while thread.backlog:
            time.sleep(0.001)
    offer(thread, 2.0, UNSURE)
    thread.close()
    assert thread.num_dropped == 3
    assert [sample.row["value"] for sample in site.queued()] == [2.0]
    assert accounted(site)["The row could not be sampled; see the agent's log."] == 3


def test_many_waiting_requests_are_let_out_together(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    put = Outbox.put

    def note(outbox: Outbox, leaving: list[Leaving]) -> None:
        sizes.append(len(leaving))
        put(outbox, leaving)

    monkeypatch.setattr(Outbox, "put", note)
    thread, gate = stalled(site)
    offer(thread, 0.0, UNSURE)
    assert isinstance(site.sampler, Stalled)
    assert site.sampler.begun.wait(10)
    for value in range(1, BATCH_LENGTH + 2):
        offer(thread, value, UNSURE)
    gate.set()
    thread.close()
    assert sizes == [1, BATCH_LENGTH, 1]


def test_what_waits_is_bounded_in_bytes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dizuo.agent.sampler_queue.QUEUE_BYTES", 1000)
    thread, gate = stalled(site)
    thread.offer(Answered(DIRECTION, b" " * 5000, (UNSURE,)))  # alone, however large
    assert (thread.backlog, thread.size_bytes) == (1, 5000)
    thread.offer(Answered(DIRECTION, b" ", (UNSURE,)))
    assert (thread.backlog, thread.size_bytes) == (1, 5000)
    gate.set()
    thread.close()
    assert thread.size_bytes == 0


def test_only_wanted_bodies_are_kept(site: Site) -> None:
    thread, gate = stalled(site)
    thread.offer(Answered(DIRECTION, b"x" * 100, (DULL, DULL)))
    assert (thread.backlog, thread.size_bytes) == (0, 0)
    gate.set()
    thread.close()


def test_with_policy_none_no_body_is_kept(tmp_path: Path) -> None:
    site = Site(tmp_path / "none", policy="none")
    thread, gate = stalled(site)
    for _ in range(3):
        thread.offer(Answered(DIRECTION, b"never parsed", (UNSURE, DULL)))
    assert (thread.backlog, thread.size_bytes) == (3, 0)
    gate.set()
    thread.close()
    assert sum(line["num_rows"] for line in site.lines()) == 3


def test_a_score_that_fails_costs_no_answer(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        reason: Literal["uncertain", "novel"] = "novel"

        def keeps(self, observation: Observation, thresholds: Thresholds) -> bool:
            raise ZeroDivisionError

    rules = SamplerRules((Broken(),))
    exits = Exits(policy("raw"), site.log, site.budget, site.outbox, 1000)
    thread = SamplerThread(Sampler(rules, exits, lambda: 5), site.log, lambda: None)
    thread.offer(Answered(DIRECTION, b"{}", (DULL,)))
    thread.close()
    assert [record for record in caplog.records if record.exc_info]
