"""How many rows each site answered in each hour of the last two days.

Check-ins carry only how many a site has answered since it joined. That number is copied aside every
few minutes, a slice of the sites at a time, instead of at each check-in: a check-in stays one row
read and seldom one written, and no writer waits for more than one short slice. So an hour's figure
may be off by what was answered in the minutes between two copies, and the sum is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dizuo.database.engine import Database
from dizuo.sites.model import Site
from dizuo.sites.store import SITES, SiteHourRow

HOUR_MS = 3_600_000
KEPT_HOURS = 48
SLICE = 500
"""How many sites are written down in one transaction."""


def note(database: Database, now_ms: int) -> int:
    """Write down how many rows the sites have answered that were heard of in this hour, and drop
    what is older than KEPT_HOURS. Opens its own transactions; returns how many sites there were."""
    hour = now_ms - now_ms % HOUR_MS
    last_id, noted = "", 0
    while True:
        with database.transaction() as session:
            ids = _slice(session, last_id, hour)
            if not ids:
                break
            _copy(session, ids, hour)
        last_id, noted = ids[-1], noted + len(ids)
    with database.transaction() as session:
        session.execute(
            delete(SiteHourRow).where(SiteHourRow.hour_ms < hour - KEPT_HOURS * HOUR_MS)
        )
    return noted


def _slice(session: Session, after_id: str, hour: int) -> Sequence[str]:
    query = select(SITES.c.id).where(SITES.c.id > after_id, SITES.c.last_seen_ms >= hour)
    return session.scalars(query.order_by(SITES.c.id).limit(SLICE)).all()


def _copy(session: Session, ids: Sequence[str], hour: int) -> None:
    """One statement; the last copy of an hour counts."""
    columns = ("site_id", "hour_ms", "project_id", "answers")
    chosen = select(SITES.c.id, literal(hour), SITES.c.project_id, SITES.c.answers)
    insert: Any = postgresql.insert if _is_postgresql(session) else sqlite.insert
    statement = insert(SiteHourRow).from_select(columns, chosen.where(SITES.c.id.in_(ids)))
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["site_id", "hour_ms"], set_={"answers": statement.excluded.answers}
        )
    )


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def answers(session: Session, site: Site, now_ms: int) -> list[int | None]:
    """How many rows a site answered in each of the last KEPT_HOURS hours, oldest first, the last
    being the one under way; None where the site was not heard of in it or in the one before."""
    hour = now_ms - now_ms % HOUR_MS
    first = hour - KEPT_HOURS * HOUR_MS
    query = select(SiteHourRow.hour_ms, SiteHourRow.answers).where(
        SiteHourRow.site_id == site.id, SiteHourRow.hour_ms >= first
    )
    totals: dict[int, int] = dict(iter(session.execute(query)))
    totals.setdefault(site.joined_ms - site.joined_ms % HOUR_MS - HOUR_MS, 0)
    if site.last_seen_ms >= hour:
        totals[hour] = site.answers
    hours = (first + place * HOUR_MS for place in range(1, KEPT_HOURS + 1))
    return [_between(totals.get(at - HOUR_MS), totals.get(at)) for at in hours]


def _between(before: int | None, after: int | None) -> int | None:
    """A site whose agent was set up anew counts from zero again."""
    if before is None or after is None:
        return None
    return after - before if after >= before else after
