"""Histories are kept while a hub runs: projects by the minute, the answers of sites by the hour."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select, update
from tests.improvements.conftest import until
from tests.sites.fleet import Fleet

from dizuo.access import accounts, passwords
from dizuo.access.model import Principal, Role, Surface
from dizuo.console.overview import history
from dizuo.console.overview.history import MINUTE_MS
from dizuo.database.engine import Database
from dizuo.hub import home as homes
from dizuo.hub.app import running_hub
from dizuo.hub.notes import SITES_EVERY_MS, Notes
from dizuo.hub.settings import HubSettings
from dizuo.releases.repository import Repository
from dizuo.sites.store import SITES, SiteHourRow

START = 29_000_000 * MINUTE_MS


@dataclass
class Clock:
    """The hub's time, as the test sets it."""

    at_ms: int = START

    def __call__(self) -> int:
        return self.at_ms


@dataclass
class Hub:
    """What takes notes, and a fleet that it takes notes of."""

    database: Database
    home: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.notes = Notes(self.database, self.home, 30.0, self.clock)

    def series(self, name: str, project_id: str = "default") -> list[float | None]:
        """A figure's last five minutes, from the first one that has any."""
        now = self.clock()
        with self.database.reading() as session:
            return list(
                history.series(
                    session,
                    project_id,
                    name,
                    since_ms=now - 4 * MINUTE_MS,
                    now_ms=now,
                    num_points=5,
                )
            )

    def num_hours(self) -> int:
        """How many hours of sites are written down."""
        with self.database.reading() as session:
            return session.scalars(select(func.count()).select_from(SiteHourRow)).one()


def _joined(database: Database, home: Path, *names: str) -> None:
    Fleet(database, Repository(home)).join(*names)
    with database.transaction() as session:
        session.execute(update(SITES).values(last_seen_ms=START, answers=7))


def test_each_minute_has_its_figures(any_database: Database, tmp_path: Path) -> None:
    hub = Hub(any_database, tmp_path)
    _joined(any_database, tmp_path, "a", "b")
    hub.notes.take()
    hub.clock.at_ms += 2 * MINUTE_MS  # both have missed more than three check-ins by now
    hub.notes.take()
    assert hub.series("sites_online") == [2, None, 0]
    assert hub.series("answers") == [14, None, 14]
    assert hub.series("stacks") == hub.series("approvals") == [0, None, 0]
    free = hub.series("disk_free")[-1]
    assert free is not None
    assert 0 < free < shutil.disk_usage(tmp_path).total


def test_every_project_with_people_has_a_history_of_its_own(
    database: Database, tmp_path: Path
) -> None:
    hub = Hub(database, tmp_path)
    _joined(database, tmp_path, "a")
    password = passwords.hashed("eve", "correct horse battery")
    admin = Principal("1", "root", Surface.API, "other", Role.ADMIN)
    with database.transaction() as session:
        accounts.create(session, admin, "eve", Role.READER, password)
    hub.notes.take()
    assert hub.series("sites_online")[-1] == 1
    assert hub.series("sites_online", "other")[-1] == 0


def test_sites_are_written_down_now_and_then_only(database: Database, tmp_path: Path) -> None:
    hub = Hub(database, tmp_path)
    _joined(database, tmp_path, "a")
    hub.notes.take()
    assert hub.num_hours() == 1
    with database.transaction() as session:
        session.execute(update(SITES).values(answers=50))
    for passed in (MINUTE_MS, SITES_EVERY_MS):
        hub.clock.at_ms = START + passed
        hub.notes.take()
        with database.reading() as session:
            noted = session.scalars(select(SiteHourRow.answers)).one()
        assert noted == (7 if passed == MINUTE_MS else 50)


def test_old_minutes_are_dropped(database: Database, tmp_path: Path) -> None:
    hub = Hub(database, tmp_path)
    hub.notes.take()
    hub.clock.at_ms += history.KEPT_MS + MINUTE_MS
    hub.notes.take()
    with database.reading() as session:
        minutes = session.scalars(select(history.FigureRow.minute_ms).distinct()).all()
    assert minutes == [START + history.KEPT_MS + MINUTE_MS]


def test_a_running_hub_keeps_them_by_itself(tmp_path: Path) -> None:
    settings = HubSettings(home=tmp_path / "home")
    homes.make_folders(settings.home)
    homes.prepare(settings)

    def has_notes(database: Database) -> bool:
        with database.reading() as session:
            return session.scalar(select(history.FigureRow.value).limit(1)) is not None

    with running_hub(settings) as hub:
        until(lambda: has_notes(hub.database))
