"""Short histories, on both databases."""

from __future__ import annotations

from dizuo.console.overview import history
from dizuo.console.overview.history import KEPT_MS, MINUTE_MS, forget, note, series
from dizuo.database.engine import Database

NOW = 1_800_000_000_000 - 1_800_000_000_000 % MINUTE_MS


def test_a_span_has_the_mean_of_its_minutes_and_none_where_nothing_was_noted(
    any_database: Database,
) -> None:
    with any_database.transaction() as session:
        for minute, value in ((0, 4), (1, 8), (4, 1)):
            note(session, "default", {"sites": value, "runs": 0}, NOW + minute * MINUTE_MS)
        note(session, "other", {"sites": 99}, NOW)
    with any_database.reading() as session:
        found = series(
            session,
            "default",
            "sites",
            since_ms=NOW,
            now_ms=NOW + 6 * MINUTE_MS,
            num_points=3,
        )
    assert found == [6.0, None, 1.0]


def test_a_history_that_is_shorter_is_all_there_is(any_database: Database) -> None:
    """So that a hub that is minutes old shows them, and not a day without notes."""
    with any_database.transaction() as session:
        for minute in range(4):
            note(session, "default", {"sites": minute}, NOW + minute * MINUTE_MS)
    since, now = NOW - 24 * 60 * MINUTE_MS, NOW + 3 * MINUTE_MS + 500
    with any_database.reading() as session:
        for name, values in (("sites", [0.0, 1.0, 2.0, 3.0]), ("runs", [None] * 48)):
            found = series(session, "default", name, since_ms=since, now_ms=now, num_points=48)
            assert found == values


def test_what_is_noted_last_in_a_minute_counts(any_database: Database) -> None:
    with any_database.transaction() as session:
        note(session, "default", {"sites": 4}, NOW + 10)
    with any_database.transaction() as session:
        note(session, "default", {"sites": 5}, NOW + 20_000)
    with any_database.reading() as session:
        later = NOW + MINUTE_MS
        found = series(session, "default", "sites", since_ms=NOW, now_ms=later, num_points=1)
    assert found == [5.0]


def test_what_is_old_is_dropped(any_database: Database) -> None:
    with any_database.transaction() as session:
        note(session, "default", {"sites": 1}, NOW)
        note(session, "default", {"sites": 2}, NOW + MINUTE_MS)
        forget(session, NOW + KEPT_MS + MINUTE_MS)
    with any_database.reading() as session:
        kept = session.query(history.FigureRow.value).all()
    assert [value for (value,) in kept] == [2.0]
