"""Short histories of a project's figures: one value a minute, kept for two days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Millis, Row

MINUTE_MS = 60_000
KEPT_MS = 48 * 60 * MINUTE_MS


class FigureRow(Row):
    """One figure of a project at one minute."""

    __tablename__ = "figures"

    project_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    minute_ms: Mapped[Millis] = mapped_column(primary_key=True)
    value: Mapped[float]


def note(session: Session, project_id: str, values: Mapping[str, float], now_ms: int) -> None:
    """Keep what a project's figures are in this minute; the last one noted in it counts."""
    minute = now_ms - now_ms % MINUTE_MS
    for name, value in values.items():
        session.merge(
            FigureRow(project_id=project_id, name=name, minute_ms=minute, value=float(value))
        )


def forget(session: Session, now_ms: int) -> None:
    """Drop what is older than KEPT_MS."""
    session.execute(delete(FigureRow).where(FigureRow.minute_ms < now_ms - KEPT_MS))


def series(
    session: Session, project_id: str, name: str, *, since_ms: int, now_ms: int, num_points: int
) -> Sequence[float | None]:
    """A figure's mean in each of at most `num_points` equal spans, a minute each or more, from
    `since_ms` or the first note after it until now, oldest first; None where nothing was noted."""
    own = (FigureRow.project_id == project_id, FigureRow.name == name)
    first = select(func.min(FigureRow.minute_ms)).where(*own, FigureRow.minute_ms >= since_ms)
    since_ms = session.scalar(first) or since_ms
    span = max(MINUTE_MS, (now_ms - since_ms) // num_points)
    place = (FigureRow.minute_ms - since_ms) / span
    query = (
        select(func.floor(place), func.avg(FigureRow.value))
        .where(*own, FigureRow.minute_ms >= since_ms)
        .group_by(func.floor(place))
    )
    found = {int(index): float(mean) for index, mean in session.execute(query)}
    num_spans = min(num_points, (now_ms - since_ms) // span + 1)
    return [found.get(index) for index in range(num_spans)]
