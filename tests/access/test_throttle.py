"""The waits between tries: as rules that any course of tries must keep."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests.access.people import HOUR, MINUTE, NOON

from dizuo.access import throttle
from dizuo.access.session_store import SignInTriesRow
from dizuo.access.throttle import LONGEST_WAIT_MS, NUM_TRIES, WINDOW_MS, Tries, Verdict
from dizuo.database.engine import Database

GAPS = st.lists(
    st.one_of(
        st.sampled_from([0, 1, MINUTE - 1, MINUTE, WINDOW_MS - 1, WINDOW_MS, HOUR]),
        st.integers(0, 2 * HOUR),
    ),
    max_size=60,
)


def course(gaps: list[int]) -> Iterator[tuple[int, int, Tries]]:
    """(time, how long to wait, state before) of each try; all that are let through fail."""
    tries, now = Tries(), NOON
    for gap in gaps:
        now += gap
        wait = tries.wait_ms(now)
        yield now, wait, tries
        if not wait:
            tries = tries.failed(now)


@given(GAPS)
def test_in_no_time_are_there_more_tries_than_the_waits_allow(gaps: list[int]) -> None:
    through = [now for now, wait, _ in course(gaps) if not wait]
    for at in through:
        within = [one for one in through if at <= one < at + WINDOW_MS]
        # five, then after 1, 2, 4 and 8 minutes of waiting one each
        assert len(within) <= NUM_TRIES + 4
        within = [one for one in through if at <= one < at + MINUTE]
        assert len(within) <= NUM_TRIES


@given(GAPS)
def test_nobody_waits_who_did_not_fail_often_enough_lately(gaps: list[int]) -> None:
    through: list[int] = []
    for now, wait, tries in course(gaps):
        if not wait:
            through.append(now)
        elif tries.num_waits == 1:
            assert len(through) >= NUM_TRIES
            assert through[-1] - through[-NUM_TRIES] < WINDOW_MS
        else:
            assert through[-1] - through[-2] < LONGEST_WAIT_MS + WINDOW_MS


@given(st.lists(st.integers(WINDOW_MS // 4, 2 * HOUR), max_size=60))
def test_slow_failures_never_bring_a_wait(gaps: list[int]) -> None:
    assert [wait for _, wait, _ in course(gaps) if wait] == []


@given(GAPS)
def test_a_wait_is_as_long_as_it_is_said(gaps: list[int]) -> None:
    for now, wait, tries in course(gaps):
        if wait:
            assert 0 < wait <= LONGEST_WAIT_MS
            assert tries.wait_ms(now + wait - 1) == 1
            assert tries.wait_ms(now + wait) == 0


@given(GAPS, st.integers(0, 3 * HOUR))
def test_what_is_swept_no_longer_counts(gaps: list[int], later: int) -> None:
    tries, now = Tries(), NOON
    for at, wait, before in course(gaps):
        now, tries = at, before if wait else before.failed(at)
    now += later
    last = tries.failures_ms[-1] if tries.failures_ms else 0
    if last <= now - WINDOW_MS and tries.until_ms <= now - WINDOW_MS:
        assert tries.wait_ms(now) == 0
        assert tries.failed(now) == Tries().failed(now)


def test_waits_double_up_to_an_hour_and_begin_anew_after_a_quiet_time() -> None:
    tries, now, waits = Tries(), NOON, []
    for _ in range(NUM_TRIES - 1):
        tries = tries.failed(now)
        assert tries.wait_ms(now) == 0
    for _ in range(9):
        tries = tries.failed(now)
        waits.append(tries.wait_ms(now) // MINUTE)
        now = tries.until_ms
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert tries.failed(now + WINDOW_MS - 1).wait_ms(now + WINDOW_MS - 1) == HOUR
    assert tries.failed(now + WINDOW_MS) == Tries((now + WINDOW_MS,))


def test_a_clock_that_was_set_back_locks_nobody_out() -> None:
    tries = Tries()
    for _ in range(NUM_TRIES):
        tries = tries.failed(NOON)
    past = NOON - 30 * 24 * HOUR
    assert tries.wait_ms(NOON) == MINUTE
    assert tries.wait_ms(past) == 0
    assert tries.failed(past).wait_ms(past) == 2 * MINUTE


@pytest.mark.parametrize(
    ("wait_ms", "words"),
    [
        (1, "1 second"),
        (1001, "2 seconds"),
        (59_000, "59 seconds"),
        (59_001, "1 minute"),
        (60_001, "2 minutes"),
        (HOUR, "60 minutes"),
    ],
)
def test_the_sentence_says_how_long(wait_ms: int, words: str) -> None:
    with pytest.raises(throttle.TooManyTries) as refused:
        Verdict(wait_ms).require()
    assert refused.value.next_step == f"Try again in {words}."
    assert (refused.value.http_status, refused.value.retryable) == (429, True)


def test_rows_are_of_lanes_and_hold_no_name(any_database: Database) -> None:
    names = [f"name {number}" for number in range(40)] + ["\ud800", "a\0b", "电" * 9999]
    for name in names * 2:
        with any_database.transaction() as session:
            assert throttle.count_try(session, name, NOON) == Verdict(0)
    with any_database.reading() as session:
        rows = list(session.scalars(select(SignInTriesRow)))
    assert len(rows) <= len(names)
    assert all(0 <= row.lane < 65_536 for row in rows)
    assert sum(len(row.failures_ms) for row in rows) == 2 * len(names)
    with any_database.transaction() as session:
        assert throttle.sweep(session, NOON + WINDOW_MS - 1) == 0
        assert throttle.sweep(session, NOON + WINDOW_MS) == len(rows)
        assert session.scalar(select(func.count()).select_from(SignInTriesRow)) == 0


def test_forgiving_what_never_failed_is_nothing(any_database: Database) -> None:
    with any_database.transaction() as session:
        throttle.forgive(session, "ann")
        assert session.scalar(select(func.count()).select_from(SignInTriesRow)) == 0


def test_a_try_and_a_sweep_at_once_lose_nothing(any_database: Database) -> None:
    with any_database.transaction() as session:
        throttle.count_try(session, "ann", NOON)
    later = NOON + WINDOW_MS

    def sweep() -> int:
        with any_database.transaction() as session:
            return throttle.sweep(session, later)

    with ThreadPoolExecutor(1) as pool:
        with any_database.transaction() as session:
            throttle.count_try(session, "ann", later)
            swept = pool.submit(sweep)
        assert swept.result(timeout=60) == 0
    with any_database.reading() as session:
        assert session.scalars(select(SignInTriesRow)).one().failures_ms == [later]
