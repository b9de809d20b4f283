"""Returned samples: taken in once, whole, and only as what they say they are."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.datasets.scene import STACK, base64_of, sample

from dizuo.audit import store as audit_store
from dizuo.core.digests import canonical_json
from dizuo.database.engine import Database
from dizuo.datasets import samples
from dizuo.datasets.errors import SampleDamaged, SampleMissing
from dizuo.datasets.samples import MACHINE, SampleFilter
from dizuo.edge import wire


def everything(database: Database) -> list[str]:
    with database.reading() as session:
        return [found.digest for found in samples.queue(session, SampleFilter())]


def test_a_sample_is_taken_in_whole(any_database: Database, home: Path) -> None:
    sent = sample({"text": "abc", "picture": base64_of(b"\x00\xff")}, answer={"label": "x"})
    receipt = samples.receive(any_database, home, "site3", [sent])
    assert receipt == wire.SampleReceipt(accepted=(sent.digest,))
    with any_database.reading() as session:
        found = samples.find(session, sent.digest)
        assert samples.find(session, sent.digest.removeprefix("sha256:")) == found
        assert samples.find(session, found.id) == found
    assert (found.site, found.state, found.answer) == ("site3", "returned", {"label": "x"})
    assert (found.confidence, found.reason, found.stack_digest) == (0.5, "uncertain", STACK)
    assert samples.read_row(home, sent.digest) == {"text": "abc", "picture": b"\x00\xff"}
    assert samples.content_path(home, sent.digest).parent.name == sent.digest[7:9]


def test_sending_again_changes_nothing(any_database: Database, home: Path) -> None:
    one, two = sample({"text": "abc"}), sample({"text": "def"})
    samples.receive(any_database, home, "site3", [one])
    receipt = samples.receive(any_database, home, "site4", [one, two, two])
    assert receipt.accepted == (one.digest, two.digest, two.digest)
    with any_database.reading() as session:
        assert samples.find(session, one.digest).site == "site3"
        entries = list(audit_store.stream(session))
    assert [(e.actor, e.action, e.detail["samples"]) for e in entries] == [
        ("site:site3", "samples.returned", [one.digest]),
        ("site:site4", "samples.returned", [two.digest]),
    ]
    samples.receive(any_database, home, "site3", [])
    assert len(everything(any_database)) == 2


def test_many_senders_at_once_make_one_sample(any_database: Database, home: Path) -> None:
    sent = [sample({"text": str(number)}) for number in range(8)]
    start = threading.Barrier(5)
    receipts: list[wire.SampleReceipt] = []

    def send() -> None:
        start.wait(30)
        receipts.append(samples.receive(any_database, home, "site3", sent))

    threads = [threading.Thread(target=send) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(receipt.accepted) for receipt in receipts] == [8] * 5
    assert sorted(everything(any_database)) == sorted(s.digest for s in sent)


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"text": "a"}, {"digest": "sha256:" + "0" * 64}, "its digest is not that of its content"),
    ({"image": {"base64": "?"}}, {}, "the field image is not valid base64"),
    ({}, {}, "the row is empty"),
    ({"n": 2**60}, {}, "the number in n is too large"),
    ({"text": "a"}, {"family": "none"}, "the hub has no family none"),
    ({"text": "a"}, {"answer": float("nan")}, "it is not valid JSON"),
    ({"text": "a"}, {"answer": "\ud800"}, "it is not valid JSON"),
    ({"a": "0" * 6_000_000, "b": "0" * 6_000_000}, {}, "at most 10,000,000 are accepted"),
    ({"text": "0" * 9_000_000}, {}, "the field text holds 9,000,000 bytes"),
]


@pytest.mark.parametrize(("row", "changes", "reason"), BAD, ids=[reason for *_, reason in BAD])
def test_a_bad_sample_is_refused_and_the_others_are_taken(
    database: Database, home: Path, row: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    good, bad = sample({"text": "good"}), sample(row, **changes)
    receipt = samples.receive(database, home, "site3", [bad, good])
    assert receipt.accepted == (good.digest,)
    [refused] = receipt.refused
    assert refused.digest == bad.digest
    assert reason in refused.reason
    assert everything(database) == [good.digest]
    assert not samples.content_path(home, bad.digest).exists()


def test_content_without_a_row_is_no_sample_until_it_is_sent_again(
    database: Database, home: Path
) -> None:
    """The hub was killed between the file and the row."""
    sent = sample({"text": "abc"})
    path = samples.content_path(home, sent.digest)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"whatever")
    assert everything(database) == []
    samples.receive(database, home, "site3", [sent])
    assert samples.read_row(home, sent.digest) == {"text": "abc"}


def test_content_that_was_changed_is_not_read(database: Database, home: Path) -> None:
    sent = sample({"text": "abc"})
    samples.receive(database, home, "site3", [sent])
    path = samples.content_path(home, sent.digest)
    content = json.loads(path.read_bytes())
    changed = content | {"row": {"text": "xyz"}}
    for data in (canonical_json(changed), b"{}", b"", b"\xff"):
        path.write_bytes(data)
        with pytest.raises(SampleDamaged, match="missing or damaged"):
            samples.read_row(home, sent.digest)
    path.unlink()
    with pytest.raises(SampleDamaged):
        samples.read_row(home, sent.digest)


def test_the_queue_begins_with_what_a_score_chose(any_database: Database, home: Path) -> None:
    sent = [
        sample({"text": "random, unsure"}, confidence=0.1, reason="control"),
        sample({"text": "sure but new"}, confidence=0.9, reason="novel"),
        sample({"text": "unsure"}, confidence=0.2, reason="uncertain", served_as="other"),
        sample({"text": "random"}, confidence=0.8, reason="control"),
    ]
    samples.receive(any_database, home, "site3", sent[:3])
    samples.receive(any_database, home, "site4", sent[3:])
    chosen = sorted((sent[1].digest, sent[2].digest))
    at_random = sorted((sent[0].digest, sent[3].digest))
    with any_database.reading() as session:

        def order(wanted: SampleFilter, **page: int) -> list[str]:
            return [found.digest for found in samples.queue(session, wanted, **page)]

        assert order(SampleFilter()) == [*chosen, *at_random]
        assert order(SampleFilter(), limit=2, offset=1) == [chosen[1], at_random[0]]
        assert order(SampleFilter(site="site4")) == [sent[3].digest]
        assert order(SampleFilter(reason="control")) == at_random
        assert order(SampleFilter(served_as="other")) == [sent[2].digest]
        assert order(SampleFilter(family="vision")) == []
        assert order(SampleFilter(state="used")) == []
        assert order(SampleFilter(project_id="other")) == []
        assert samples.count(session, SampleFilter(site="site3")) == {"returned": 3}
        with pytest.raises(SampleMissing, match="There is no sample"):
            samples.find(session, "none")
        with pytest.raises(SampleMissing):
            samples.find(session, sent[0].digest, "other")


def test_the_top_of_the_queue_is_a_fair_draw_of_what_is_unsure(
    database: Database, home: Path
) -> None:
    """Of 400 samples of which a quarter is least sure, about a quarter of the first hundred is.

    The digests are always the same, so this never fails by chance; the most unsure first would
    make it the whole hundred."""
    sent = [
        sample({"text": f"call {number}"}, confidence=0.1 if number % 4 == 0 else 0.4)
        for number in range(400)
    ]
    samples.receive(database, home, "site3", sent)
    with database.reading() as session:
        first = samples.queue(session, SampleFilter(), limit=100)
    assert 15 <= sum(found.confidence < 0.2 for found in first) <= 35


def test_the_machine_of_samples() -> None:
    assert MACHINE.states == {"returned", "reviewed", "unusable", "used"}
    assert MACHINE.final_states == {"used"}
