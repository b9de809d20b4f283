"""Keeping the histories that the console shows: the figures of projects, the answers of sites."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dizuo.access import accounts
from dizuo.console.overview import history
from dizuo.console.overview.figures import disk_of, figures_of
from dizuo.core.clock import Clock, now_ms
from dizuo.database.engine import Database
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.sites import hours
from dizuo.sites import service as sites

EVERY_SECONDS = 60.0
SITES_EVERY_MS = 5 * 60_000
"""Sites are many and their history is by the hour, so they are written down less often."""


@dataclass
class Notes:
    """What one process of a hub takes down again and again.

    Args:
        database: what is read and written.
        home: the hub's home, on the disk that is looked at.
        poll_seconds: how often sites check in.
        clock: the time.
    """

    database: Database
    home: Path
    poll_seconds: float
    clock: Clock = now_ms
    _sites_ms: int = field(default=0, init=False)

    def take(self) -> None:
        """Note what each project's figures are now, and now and then how much sites answered.

        Figures are read before anything is locked, so no writer waits for them.
        """
        now = self.clock()
        online_since = sites.online_since_ms(self.poll_seconds, now)
        with self.database.reading() as session:
            projects = sorted({DEFAULT_PROJECT} | accounts.projects(session))
            found = {one: figures_of(session, one, online_since).noted() for one in projects}
        disk = disk_of(self.home).noted()
        with self.database.transaction() as session:
            for project_id, values in found.items():
                history.note(session, project_id, values | disk, now)
            history.forget(session, now)
        if now - self._sites_ms >= SITES_EVERY_MS:
            hours.note(self.database, now)
            self._sites_ms = now
