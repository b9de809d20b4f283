"""What is returned, why, how much of it, and what never leaves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent.agent_process import request

from dizuo.agent.egress_log import ByteBudget, EgressLog
from dizuo.agent.errors import UnknownScore
from dizuo.agent.outbox import Outbox
from dizuo.agent.sampler import SCORED_SHARE, Answered, Exits, Sampler, SamplerRules
from dizuo.agent.sampler_scores import Thresholds, load_scores
from dizuo.core.digests import sha256_bytes
from dizuo.edge.egress import policy
from dizuo.edge.wire import Direction, Sample, sample_digest
from dizuo.families.base import Observation

DAY_MS = 86_400_000
DIRECTION = Direction(
    served_as="meter",
    name="meter",
    version=1,
    digest=sha256_bytes(b"stack"),
    family="scales",
    target="plain",
)
DULL = Observation("high", 0.9, 0.5, 0.5)
UNSURE = Observation("low", 0.4, 0.01, 0.5)
NEW = Observation("high", 0.9, 0.5, 0.999)


@dataclass
class Site:
    """A sampler with everything it needs in a folder."""

    folder: Path
    policy: Literal["none", "raw"] = "raw"
    control_share: float = 0.0
    seed: int | None = 7
    bytes_per_day: int = 10_000_000
    outbox_bytes: int = 1_000_000
    now: int = DAY_MS * 20_000
    thresholds: Thresholds = field(default_factory=Thresholds)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        """As after a start of the agent: whatever is not on disk is forgotten."""

        def clock() -> int:
            return self.now

        self.outbox = Outbox(self.folder / "outbox")
        self.log = EgressLog(self.folder / "egress.jsonl", clock)
        self.budget = ByteBudget(self.folder / "budget.json", self.bytes_per_day, clock)
        scores = load_scores(("uncertainty", "novelty"))
        rules = SamplerRules(scores, self.thresholds, self.control_share, self.seed)
        exits = Exits(policy(self.policy), self.log, self.budget, self.outbox, self.outbox_bytes)
        self.sampler = Sampler(rules, exits, clock)

    def answer(self, *observations: Observation, start: float = 0.0) -> int:
        values = [start + i for i in range(len(observations))]
        body = json.dumps(request(*values)).encode()
        return self.sampler.consider(Answered(DIRECTION, body, observations))

    def queued(self) -> list[Sample]:
        found = [self.outbox.read(item) for item in self.outbox.waiting()]
        return [sample for sample in found if sample is not None]

    def lines(self) -> list[dict[str, Any]]:
        self.log.flush()
        path = self.folder / "egress.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


def test_unsure_and_new_rows_return_and_dull_ones_do_not(site: Site) -> None:
    assert site.answer(DULL, UNSURE, DULL, NEW) == 2
    returned = {(sample.row["value"], sample.reason) for sample in site.queued()}
    assert returned == {(1.0, "uncertain"), (3.0, "novel")}


def test_a_sample_says_what_the_contract_asks(site: Site) -> None:
    site.answer(UNSURE, start=5.0)
    (sample,) = site.queued()
    assert sample.row == {"value": 5.0, "photo": {"base64": "NS4w"}}
    assert sample.digest == sample_digest(sample.row, DIRECTION.digest)
    assert (sample.family, sample.served_as, sample.stack_digest) == (
        "scales",
        "meter",
        DIRECTION.digest,
    )
    assert (sample.answer, sample.confidence, sample.taken_ms) == ("low", 0.4, site.now)


@pytest.mark.parametrize(
    ("observation", "kept"),
    [
        (Observation("low", 0.5, 0.05, 0.0), True),
        (Observation("low", 0.5, 0.0501, 0.0), False),
        (Observation("low", 0.5, 1.0, 0.98), True),
        (Observation("low", 0.5, 1.0, 0.9799), False),
        (Observation("low", 0.5, 1.0, None), False),
        (Observation("low", 0.5, 0.05, None), True),
    ],
)
def test_thresholds_are_closed(site: Site, observation: Observation, kept: bool) -> None:
    assert site.answer(observation) == kept


def test_the_control_share_comes_before_the_scores(tmp_path: Path) -> None:
    site = Site(tmp_path / "all", control_share=1.0)
    site.answer(DULL, UNSURE, NEW)
    assert {sample.reason for sample in site.queued()} == {"control"}
    assert len(site.queued()) == 3


def test_the_control_share_is_about_what_was_asked_for(tmp_path: Path) -> None:
    site = Site(tmp_path / "some", control_share=0.1)
    site.answer(*[DULL] * 500)
    assert 30 <= len(site.queued()) <= 70


def test_a_seed_makes_the_choice_repeatable(tmp_path: Path) -> None:
    def chosen(name: str, seed: int) -> set[float]:
        site = Site(tmp_path / name, control_share=0.2, seed=seed)
        for start in (0.0, 100.0):
            site.answer(*[DULL] * 30, start=start)
        return {sample.row["value"] for sample in site.queued()}

    assert chosen("a", 1) == chosen("b", 1) != chosen("c", 2)


def test_policy_none_queues_nothing_and_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path / "none", policy="none", control_share=1.0)
    for start in (0.0, 10.0, 20.0):
        assert site.answer(UNSURE, NEW, start=start) == 0
    assert site.queued() == []
    assert not (site.folder / "outbox").exists()
    assert not (site.folder / "budget.json").exists()
    denied = site.lines()
    assert {line["what"] for line in denied} == {"denied"}
    assert sum(line["num_rows"] for line in denied) == 6
    assert all("policy none" in line["why"] for line in denied)


def test_denials_are_not_a_line_for_each_answer(tmp_path: Path) -> None:
    site = Site(tmp_path / "none", policy="none")
    for start in range(100):
        site.answer(UNSURE, start=float(start))
    assert len(site.lines()) == 2  # the first at once, the rest when it is flushed
    site.now += 61_000
    site.answer(UNSURE)
    assert len(site.lines()) == 3


def test_what_is_let_out_is_written_down_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(EgressLog, "allowed", full)
    with pytest.raises(OSError, match="no space"):
        site.answer(UNSURE)
    assert site.queued() == []


def test_rows_of_one_request_are_written_down_together(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.answer(UNSURE, start=1000.0)  # which also makes the folder
    synced: list[int] = []
    fsync = os.fsync

    def count(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    assert site.answer(*[UNSURE] * 40) == 40
    assert len(synced) == 40 + 4  # each sample, and once: the budget and its folder, log, outbox


def test_the_same_row_twice_in_one_request_is_one_sample(site: Site) -> None:
    body = json.dumps(request(5.0, 5.0)).encode()
    assert site.sampler.consider(Answered(DIRECTION, body, (UNSURE, UNSURE))) == 1
    assert spent(site) == site.outbox.size_bytes()
    assert [len(site.queued()), len(site.lines())] == [1, 1]


def test_each_sample_has_its_line(site: Site) -> None:
    site.answer(UNSURE, NEW)
    lines = site.lines()
    assert [line["what"] for line in lines] == ["allowed", "allowed"]
    assert {line["digest"] for line in lines} == {sample.digest for sample in site.queued()}
    assert sum(line["bytes"] for line in lines) == site.outbox.size_bytes()


def test_the_same_row_is_queued_and_charged_once(site: Site) -> None:
    assert [site.answer(UNSURE), site.answer(UNSURE)] == [1, 0]
    assert len(site.queued()) == 1
    assert len(site.lines()) == 1


def spent(site: Site) -> int:
    value: int = json.loads((site.folder / "budget.json").read_bytes())["bytes"]
    return value


def test_the_budget_counts_the_bytes_that_were_queued(site: Site) -> None:
    site.answer(UNSURE, NEW, UNSURE)
    assert spent(site) == site.outbox.size_bytes() > 0


def test_the_budget_ends_and_begins_again_with_the_day(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", bytes_per_day=1000, control_share=0.0)
    site.answer(*[UNSURE] * 10)
    first = len(site.queued())
    assert 0 < first < 10
    assert site.outbox.size_bytes() <= 1000 * SCORED_SHARE
    site.start()  # a restart does not renew it
    site.answer(*[UNSURE] * 10, start=100.0)
    assert len(site.queued()) == first
    assert any("budget is used up" in line["why"] for line in site.lines())
    site.now += DAY_MS
    site.answer(UNSURE, start=200.0)
    assert len(site.queued()) == first + 1


def test_scored_rows_leave_room_for_the_control_share(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", bytes_per_day=2000, control_share=0.0)
    site.answer(*[UNSURE] * 50)
    before = len(site.queued())
    site.control_share = 1.0
    site.start()
    site.answer(*[DULL] * 50, start=100.0)
    reasons = [sample.reason for sample in site.queued()]
    assert len(reasons) > before
    assert site.outbox.size_bytes() <= 2000


def test_a_full_outbox_takes_no_more(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", outbox_bytes=700)
    site.answer(*[UNSURE] * 10)
    assert 0 < site.outbox.size_bytes() <= 700 * SCORED_SHARE
    assert any("outbox is full" in line["why"] for line in site.lines())
    site.control_share = 1.0
    site.start()
    site.answer(*[DULL] * 10, start=100.0)
    assert 700 * SCORED_SHARE < site.outbox.size_bytes() <= 700


@settings(max_examples=25, deadline=None)
@given(budget=st.integers(0, 3000), rows=st.lists(st.sampled_from([DULL, UNSURE, NEW]), max_size=8))
def test_never_more_than_the_budget(
    tmp_path_factory: pytest.TempPathFactory, budget: int, rows: list[Observation]
) -> None:
    folder = tmp_path_factory.mktemp("budget") / "site"
    site = Site(folder, bytes_per_day=budget, control_share=0.3)
    if rows:
        site.answer(*rows)
    assert site.outbox.size_bytes() <= budget
    allowed = [line for line in site.lines() if line["what"] == "allowed"]
    assert len(allowed) == len(site.queued())


def test_scores_are_found_by_entry_point() -> None:
    assert [score.reason for score in load_scores(("novelty", "uncertainty"))] == [
        "novel",
        "uncertain",
    ]
    with pytest.raises(UnknownScore, match="'curiosity'") as refused:
        load_scores(("uncertainty", "curiosity"))
    assert refused.value.next_step == "Installed scores: novelty, uncertainty."
