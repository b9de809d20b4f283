"""Sites and rollouts in words, and histories as pictures: true, escaped, in both languages."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from dizuo.console.messages import Language, Words
from dizuo.console.overview.history import MINUTE_MS
from dizuo.console.sites import hourly, standing
from dizuo.console.sites.standing import Freshness
from dizuo.edge.wire import DesiredState, Direction, SiteError
from dizuo.sites.model import Site
from dizuo.sites.service import QUIET_MS

ENGLISH, CHINESE = Words(Language.ENGLISH), Words(Language.CHINESE)
NOW = 29_000_000 * MINUTE_MS + 30_000
POLL_SECONDS = 30.0


def _site(seen_ms: int) -> Site:
    nothing = DesiredState(generation=0)
    return Site(
        id="1",
        project_id="default",
        name="a",
        state="serving",
        desired=nothing,
        told_generation=0,
        running=nothing,
        error=None,
        egress_policy="none",
        inference_url="",
        agent_version="1",
        bytes_first_install=0,
        bytes_last_update=0,
        samples_waiting=0,
        answers=0,
        joined_ms=0,
        last_seen_ms=seen_ms,
    )


@pytest.mark.parametrize(
    ("silent_ms", "poll_seconds", "told"),
    [
        (0, 30.0, "online"),
        (QUIET_MS, 0.5, "online"),
        (QUIET_MS + 1_501, 0.5, "offline, 1 minute ago"),
        (QUIET_MS + 90_000, 30.0, "online"),
        (QUIET_MS + 90_001, 30.0, "offline, 1 minute ago"),
        (10 * MINUTE_MS, 30.0, "offline, 9 minutes ago"),
        (10 * MINUTE_MS, 600.0, "online, 9 minutes ago"),
        (3 * 3_600_000, 30.0, "offline, 2 hours ago"),
    ],
)
def test_a_site_is_offline_once_it_has_missed_three_check_ins(
    silent_ms: int, poll_seconds: float, told: str
) -> None:
    fresh = Freshness.of(_site(NOW - silent_ms), poll_seconds, NOW)
    assert told in standing.freshness(ENGLISH, fresh)


def test_freshness_changes_with_the_minute_and_not_within_it() -> None:
    site = _site(NOW - 10 * MINUTE_MS)
    minute = NOW - NOW % MINUTE_MS
    within = {Freshness.of(site, POLL_SECONDS, minute + at) for at in (0, 1000, MINUTE_MS - 1)}
    assert len(within) == 1
    assert Freshness.of(site, POLL_SECONDS, minute + MINUTE_MS) not in within


def _error(code: str, step: str = "probing") -> SiteError:
    return SiteError(generation=1, step=step, code=code, message="It misread.", at_ms=1)


def test_what_went_wrong_is_told_with_where_it_did() -> None:
    assert standing.fault(ENGLISH, _error("probe_failed")) == "While probing: It misread."
    assert standing.fault(CHINESE, _error("probe_failed")) == "探测时：探测未通过（It misread.）"
    assert standing.fault(CHINESE, _error("never_heard_of", "dancing")) == "dancing时：It misread."


@pytest.mark.parametrize(
    ("kept", "english", "chinese"),
    [
        ("", "", ""),
        ("by person:mei", "by mei", "由 mei 操作"),
        ("the site was removed", "the site was removed", "站点已被移除"),
        ("disk_full: Full.", "the disk is full: Full.", "磁盘已满: Full."),
        (
            "engine_failed: The engine could not answer.",
            "the engine failed: The engine could not answer.",
            "引擎出错: 引擎未能应答。",
        ),
        (
            "a fell back (disk_full: Full (2 GB).)",
            "a fell back (the disk is full: Full (2 GB).)",
            "a 已回退（磁盘已满: Full (2 GB).）",
        ),
        ("odd: whatever", "odd: whatever", "odd: whatever"),
    ],
)
def test_reasons_of_a_known_kind_are_told_in_both_languages(
    kept: str, english: str, chinese: str
) -> None:
    assert standing.reason(ENGLISH, kept) == english
    assert standing.reason(CHINESE, kept) == chinese


def test_a_stack_names_what_it_is_served_as_only_if_that_is_another_name() -> None:
    direction = Direction(
        served_as="meter",
        name="meter",
        version=3,
        digest="sha256:" + "0" * 64,
        family="vision",
        target="onnx",
    )
    assert str(standing.direction(ENGLISH, direction)) == '<a href="/stacks/meter/3">meter:3</a>'
    other = standing.direction(CHINESE, direction.model_copy(update={"served_as": "night"}))
    assert re.sub("<[^>]*>", "", other) == "meter:3，服务名 night"


def _picture(drawn: str) -> ElementTree.Element:
    """The picture alone; what is no whole XML fails here."""
    return ElementTree.fromstring(drawn[drawn.index("<svg") : drawn.index("</svg>") + 6])


def test_a_history_has_one_bar_for_each_hour_and_a_dash_where_nobody_knows() -> None:
    picture = _picture(hourly.counts(ENGLISH, [None, 5, 10, 0], "Answers"))
    assert picture.get("aria-label") == "Answers: 15 in 48 hours"
    assert [bar.get("class") for bar in picture.iter("rect")] == ["unknown", "bar", "bar", "bar"]
    assert [bar.get("height") for bar in picture.iter("rect")] == ["1", "50.00", "100.00", "0.00"]
    assert [one.text for one in picture.iter("title")] == [
        "2 h ago: 5",
        "1 h ago: 10",
        "0 h ago: 0",
    ]


def test_shares_fill_each_hour_that_has_any() -> None:
    names = {"uncertain": "unsure", "control": "at random"}
    hours = [{"uncertain": 1, "control": 3}, {}, {"control": 2}]
    picture = _picture(hourly.shares(ENGLISH, hours, names, "Why"))
    assert picture.get("aria-label") == "Why, in 48 hours: unsure 17 %, at random 83 %"
    found = [(bar.get("class"), bar.get("y"), bar.get("height")) for bar in picture.iter("rect")]
    assert found == [
        ("part-0", "75.00", "25.00"),
        ("part-1", "0.00", "75.00"),
        ("part-1", "0.00", "100.00"),
    ]


def test_means_are_joined_only_where_hours_follow_each_other() -> None:
    picture = _picture(hourly.means(ENGLISH, [0.5, 0.75, None, 0.25], "Confidence"))
    line = next(picture.iter("path"))
    assert line.get("d") == "M0.5 50.0 L1.5 25.0 M3.5 75.0"
    assert picture.get("aria-label") == "Confidence: 0.25 to 0.75"
