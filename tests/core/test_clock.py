"""Times as whole milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.clock import iso, now_ms


def test_now_lies_between_two_looks_at_the_wall_clock() -> None:
    before = datetime.now(UTC).timestamp() * 1000
    now = now_ms()
    after = datetime.now(UTC).timestamp() * 1000
    assert before - 1 <= now <= after + 1


def test_iso_is_utc_to_the_second() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"
    assert iso(1_795_326_538_999) == "2026-11-22T05:48:58Z"


@given(st.integers(0, 4_000_000_000_000))
def test_iso_reads_back_to_the_same_second(milliseconds: int) -> None:
    moment = datetime.strptime(iso(milliseconds), "%Y-%m-%dT%H:%M:%S%z")
    assert int(moment.timestamp()) == milliseconds // 1000
