"""What sites answered in each hour: copied aside in slices, told apart from what nobody knows."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update
from tests.sites.fleet import Fleet

from dizuo.sites import hours, service
from dizuo.sites.hours import HOUR_MS, KEPT_HOURS
from dizuo.sites.store import SITES, SiteHourRow

START = 1_000_000 * HOUR_MS


def _tell(fleet: Fleet, name: str, at_ms: int, answers: int) -> None:
    """A check-in's figures at this time."""
    with fleet.database.transaction() as session:
        values = {"last_seen_ms": at_ms, "answers": answers}
        session.execute(update(SITES).where(SITES.c.name == name).values(**values))


def _joined(fleet: Fleet, *names: str) -> None:
    fleet.join(*names)
    with fleet.database.transaction() as session:
        session.execute(update(SITES).values(joined_ms=START, last_seen_ms=START))


def _answers(fleet: Fleet, name: str, now: int) -> list[int | None]:
    with fleet.database.reading() as session:
        site = fleet.site(name)
        return hours.answers(session, site, now)


def test_an_hour_is_what_was_answered_between_its_last_copy_and_the_one_before(
    any_fleet: Fleet,
) -> None:
    _joined(any_fleet, "a")
    for minutes, total in ((10, 5), (55, 30), (65, 40), (119, 90)):
        now = START + minutes * 60_000
        _tell(any_fleet, "a", now, total)
        assert hours.note(any_fleet.database, now) == 1
    now = START + 2 * HOUR_MS + 60_000
    _tell(any_fleet, "a", now, 97)
    assert _answers(any_fleet, "a", now)[-3:] == [30, 60, 7]


def test_hours_in_which_a_site_was_not_heard_of_are_unknown(fleet: Fleet) -> None:
    _joined(fleet, "a", "b")
    _tell(fleet, "a", START + 1, 10)
    hours.note(fleet.database, START + 1)
    silent = START + HOUR_MS + 1
    _tell(fleet, "b", silent, 1)
    assert hours.note(fleet.database, silent) == 1
    back = START + 2 * HOUR_MS
    _tell(fleet, "a", back, 500)
    hours.note(fleet.database, back)
    later = START + 3 * HOUR_MS
    _tell(fleet, "a", later, 520)
    assert _answers(fleet, "a", later)[-5:] == [None, 10, None, None, 20]


def test_a_count_that_began_anew_is_counted_from_zero(fleet: Fleet) -> None:
    _joined(fleet, "a")
    _tell(fleet, "a", START, 900)
    hours.note(fleet.database, START)
    _tell(fleet, "a", START + HOUR_MS, 12)
    assert _answers(fleet, "a", START + HOUR_MS)[-1] == 12


def test_many_sites_are_written_in_slices_and_old_hours_are_dropped(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "SLICE", 2)
    names = [f"s{number}" for number in range(5)]
    _joined(fleet, *names)
    assert hours.note(fleet.database, START) == 5
    for name in names:
        _tell(fleet, name, START + (KEPT_HOURS + 1) * HOUR_MS, 1)
    hours.note(fleet.database, START + (KEPT_HOURS + 1) * HOUR_MS)
    with fleet.database.reading() as session:
        assert session.scalars(select(func.min(SiteHourRow.hour_ms))).one() > START
        assert session.scalars(select(func.count()).select_from(SiteHourRow)).one() == 5


def test_a_site_that_is_removed_leaves_no_hours(fleet: Fleet) -> None:
    _joined(fleet, "a")
    hours.note(fleet.database, START)
    with fleet.database.transaction() as session:
        service.remove(session, "a", "operator:ann")
        assert session.scalars(select(SiteHourRow)).all() == []
