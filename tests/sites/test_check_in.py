"""What a site says about itself, and how little that costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from tests.sites.fleet import Fleet, fault, names

from dizuo.audit import store as audit_store
from dizuo.edge.wire import DesiredState
from dizuo.sites import service
from dizuo.sites.errors import SiteNotFound


@contextmanager
def statements(fleet: Fleet) -> Iterator[list[str]]:
    """The SQL statements that run in the block, by their first word."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2].split()[0].upper())

    event.listen(fleet.database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(fleet.database.engine, "before_cursor_execute", note)


@pytest.fixture
def site1(fleet: Fleet) -> str:
    """A site that has joined and said hello."""
    fleet.join("site1")
    fleet.poll("site1")
    return "site1"


def test_the_reply_is_the_desired_set(fleet: Fleet, site1: str) -> None:
    assert fleet.poll(site1) == DesiredState(generation=0)
    fleet.release()
    fleet.start("meter-reading:1", [site1], served_as="meters")
    desired = fleet.poll(site1)
    assert desired.generation == 1
    assert names(desired) == {"meters": "meter-reading:1"}
    assert desired.stacks[0].target == "onnx"


def test_everything_said_is_kept(fleet: Fleet, site1: str) -> None:
    fleet.say(
        site1,
        "serving",
        DesiredState(generation=0),
        bytes_first_install=1_000_000,
        bytes_last_update=2_000,
        egress_policy="raw",
        samples_waiting=3,
        answers=4,
        inference_url="http://127.0.0.1:9000",
        agent_version="2.0",
    )
    known = fleet.site(site1).as_dict()
    expected = {
        "state": "serving",
        "generation": 0,
        "stacks": [],
        "bytes_first_install": 1_000_000,
        "bytes_last_update": 2_000,
        "egress_policy": "raw",
        "samples_waiting": 3,
        "answers": 4,
        "inference_url": "http://127.0.0.1:9000",
        "agent_version": "2.0",
        "error": None,
    }
    assert {name: known[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("egress_policy", "our-own"),
        ("inference_url", "https://site1.example:8421"),
        ("agent_version", "2.0"),
    ],
)
def test_what_leaves_where_it_answers_and_which_agent_it_is_are_audited(
    fleet: Fleet, site1: str, field: str, value: str
) -> None:
    said: dict[str, Any] = {field: value}
    fleet.say(site1, "empty", **said)
    with fleet.database.reading() as session:
        last = list(audit_store.stream(session))[-1]
    assert (last.action, last.actor, last.detail[field]) == ("site.changed", "site:site1", value)
    count = fleet.num_audited()
    fleet.say(site1, "empty", **said)
    assert fleet.num_audited() == count


def test_saying_the_same_again_reads_one_row_and_writes_nothing(fleet: Fleet, site1: str) -> None:
    before = fleet.num_audited()
    now = fleet.site(site1)
    with statements(fleet) as seen:
        fleet.say(site1, "empty", now.running)
    assert [word for word in seen if word not in ("BEGIN",)] == ["SELECT"]
    assert fleet.site(site1) == now
    assert fleet.num_audited() == before


def test_a_heartbeat_writes_one_row(
    fleet: Fleet, site1: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "QUIET_MS", 0)
    before = fleet.num_audited()
    seen_before = fleet.site(site1).last_seen_ms
    with statements(fleet) as seen:
        fleet.say(site1, "empty", answers=1)
    assert [word for word in seen if word not in ("BEGIN",)] == ["SELECT", "UPDATE"]
    assert fleet.site(site1).last_seen_ms >= seen_before
    assert fleet.num_audited() == before


def test_counters_are_no_news(fleet: Fleet, site1: str) -> None:
    before = fleet.num_audited()
    for count in range(1, 5):
        fleet.say(site1, "empty", answers=count, samples_waiting=count)
    assert fleet.site(site1).answers == 4
    assert fleet.num_audited() == before


def test_news_are_audited_once(fleet: Fleet, site1: str) -> None:
    fleet.release()
    fleet.start("meter-reading:1", [site1])
    fleet.begin(site1)
    fleet.arrive(site1)
    fleet.poll(site1)
    assert fleet.actions("site.changed") == ["site.changed"] * 2


def test_an_error_is_news_and_is_forgotten_when_it_is_over(fleet: Fleet, site1: str) -> None:
    fleet.say(site1, "empty", error=fault(1, "engine_failed"))
    assert fleet.site(site1).as_dict()["error"]["code"] == "engine_failed"
    fleet.say(site1, "empty")
    assert fleet.site(site1).error is None
    assert fleet.actions("site.changed") == ["site.changed"] * 2


def test_a_site_that_was_removed_is_not_answered(fleet: Fleet) -> None:
    with pytest.raises(SiteNotFound):
        fleet.say("nobody", "empty")
