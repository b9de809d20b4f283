"""What one site has let out, in figures: the samples this hub has received from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets.store import SampleRow

HOUR_MS = 3_600_000
REASONS = ("uncertain", "novel", "control")


@dataclass(frozen=True, slots=True)
class Returned:
    """All that a site has returned: how many samples by reason, and when the last came in."""

    by_reason: Mapping[str, int]
    last_ms: int | None

    @property
    def num_samples(self) -> int:
        """All of them."""
        return sum(self.by_reason.values())


@dataclass(frozen=True, slots=True)
class Hour:
    """Samples of one hour: how many by reason, and how sure the model was of them on average."""

    by_reason: Mapping[str, int]
    mean_confidence: float | None

    @property
    def num_samples(self) -> int:
        """All of them."""
        return sum(self.by_reason.values())


def total(session: Session, site: str, *, project_id: str = DEFAULT_PROJECT) -> Returned:
    """Everything that a site has returned."""
    query = select(SampleRow.reason, func.count(), func.max(SampleRow.received_ms))
    rows = session.execute(query.where(*_of(site, project_id)).group_by(SampleRow.reason)).all()
    last = max((at for _, _, at in rows), default=None)
    return Returned({reason: number for reason, number, _ in rows}, last)


def received_by_hour(
    session: Session,
    site: str,
    *,
    now_ms: int,
    num_hours: int,
    project_id: str = DEFAULT_PROJECT,
) -> Sequence[Hour]:
    """What came in from a site in each of the last hours, oldest first, the last under way."""
    return _by_hour(session, SampleRow.received_ms, _of(site, project_id), now_ms, num_hours)


def taken_by_hour(
    session: Session,
    site: str,
    *,
    now_ms: int,
    num_hours: int,
    project_id: str = DEFAULT_PROJECT,
) -> Sequence[Hour]:
    """What a site took aside in each of the last hours, by its own clock, and has returned since
    then; oldest first, the last hour being the one under way."""
    return _by_hour(session, SampleRow.taken_ms, _of(site, project_id), now_ms, num_hours)


def _of(site: str, project_id: str) -> tuple[ColumnElement[bool], ...]:
    return SampleRow.project_id == project_id, SampleRow.site == site


def _by_hour(
    session: Session,
    time: InstrumentedAttribute[int],
    conditions: Sequence[ColumnElement[bool]],
    now_ms: int,
    num_hours: int,
) -> list[Hour]:
    first = now_ms - now_ms % HOUR_MS - (num_hours - 1) * HOUR_MS
    place = (time - first) // HOUR_MS
    query = select(place, SampleRow.reason, func.count(), func.sum(SampleRow.confidence))
    query = query.where(*conditions, time >= first, time < first + num_hours * HOUR_MS)
    counts: list[dict[str, int]] = [{} for _ in range(num_hours)]
    sums = [0.0] * num_hours
    for index, reason, number, confidence in session.execute(
        query.group_by(place, SampleRow.reason)
    ):
        counts[index][reason] = number
        sums[index] += confidence
    return [
        Hour(found, total / sum(found.values()) if found else None)
        for found, total in zip(counts, sums, strict=True)
    ]
