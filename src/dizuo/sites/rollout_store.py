"""The rows of rollouts and of the sites in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import JSON, Select, String, Text, UniqueConstraint, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Id, Json, Millis, Name, ProjectId, Row
from dizuo.edge.wire import Direction
from dizuo.sites.rollout_model import OPEN_ENTRY, Entry, EntryState, Rollout, RolloutState


class RolloutRow(Row):
    """One rollout; `key` is null where none was given."""

    __tablename__ = "rollouts"
    __table_args__ = (UniqueConstraint("project_id", "key"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    key: Mapped[str | None] = mapped_column(String(200))
    release_id: Mapped[str] = mapped_column(String(36))
    direction: Mapped[Json]
    wanted: Mapped[Json]
    state: Mapped[Name]
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[Name]
    created_ms: Mapped[Millis]
    updated_ms: Mapped[Millis]


class RolloutSiteRow(Row):
    """One site of a rollout."""

    __tablename__ = "rollout_sites"
    __table_args__ = (UniqueConstraint("rollout_id", "site_id"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    rollout_id: Mapped[str] = mapped_column(String(36))
    site_id: Mapped[str] = mapped_column(String(36), index=True)
    site_name: Mapped[Name]
    generation: Mapped[int]
    previous: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    state: Mapped[Name]
    reason: Mapped[str] = mapped_column(Text)
    updated_ms: Mapped[Millis]


def _entry(row: RolloutSiteRow) -> Entry:
    return Entry(
        id=row.id,
        project_id=row.project_id,
        rollout_id=row.rollout_id,
        site_id=row.site_id,
        site_name=row.site_name,
        generation=row.generation,
        previous=None if row.previous is None else Direction.model_validate(row.previous),
        state=EntryState(row.state),
        reason=row.reason,
        updated_ms=row.updated_ms,
    )


def _rollout(row: RolloutRow, entries: tuple[Entry, ...] = ()) -> Rollout:
    return Rollout(
        id=row.id,
        project_id=row.project_id,
        key=row.key or "",
        release_id=row.release_id,
        direction=Direction.model_validate(row.direction),
        wanted=row.wanted,
        state=RolloutState(row.state),
        reason=row.reason,
        actor=row.actor,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        entries=entries,
    )


def add(session: Session, rollout: Rollout) -> None:
    """Write a new rollout, without its entries."""
    session.add(
        RolloutRow(
            id=rollout.id,
            project_id=rollout.project_id,
            key=rollout.key or None,
            release_id=rollout.release_id,
            direction=rollout.direction.model_dump(),
            wanted=rollout.wanted,
            state=rollout.state.value,
            reason=rollout.reason,
            actor=rollout.actor,
            created_ms=rollout.created_ms,
            updated_ms=rollout.updated_ms,
        )
    )
    session.flush()


def add_entries(session: Session, entries: Iterable[Entry]) -> None:
    """Write the sites of a new rollout."""
    session.add_all(_row(entry) for entry in entries)
    session.flush()


def _row(entry: Entry) -> RolloutSiteRow:
    return RolloutSiteRow(
        id=entry.id,
        project_id=entry.project_id,
        rollout_id=entry.rollout_id,
        site_id=entry.site_id,
        site_name=entry.site_name,
        generation=entry.generation,
        previous=None if entry.previous is None else entry.previous.model_dump(),
        state=entry.state.value,
        reason=entry.reason,
        updated_ms=entry.updated_ms,
    )


def find(session: Session, project_id: str, rollout_id: str) -> Rollout | None:
    """The rollout with this id and its entries, by the names of their sites."""
    found = head(session, project_id, rollout_id)
    return None if found is None else replace(found, entries=tuple(entries(session, rollout_id)))


def head(session: Session, project_id: str, rollout_id: str) -> Rollout | None:
    """The rollout with this id, without its entries."""
    row = session.get(RolloutRow, rollout_id)
    return _rollout(row) if row is not None and row.project_id == project_id else None


def by_key(session: Session, project_id: str, key: str) -> Rollout | None:
    """The rollout that was started under this key, with its entries."""
    query = select(RolloutRow).where(RolloutRow.project_id == project_id, RolloutRow.key == key)
    row = session.scalar(query)
    return _rollout(row, tuple(entries(session, row.id))) if row else None


def newest(session: Session, project_id: str, limit: int) -> list[Rollout]:
    """The newest rollouts, newest first, without their entries."""
    query = select(RolloutRow).where(RolloutRow.project_id == project_id)
    return rollouts_of(session, query.order_by(RolloutRow.id.desc()).limit(limit))


def rollouts_of(session: Session, query: Select[RolloutRow]) -> list[Rollout]:
    """The rollouts that a query selects, in its order, without their entries."""
    return [_rollout(row) for row in session.scalars(query)]


def lock(session: Session, rollout_ids: Iterable[str]) -> list[Rollout]:
    """Rollouts, without entries, that no other transaction changes until this one ends; in the
    order of their ids, so that two transactions never wait for each other."""
    query = select(RolloutRow).where(RolloutRow.id.in_(sorted(set(rollout_ids))))
    query = query.order_by(RolloutRow.id).with_for_update()
    rows = session.scalars(query.execution_options(populate_existing=True))
    return [_rollout(row) for row in rows]


def entries(session: Session, rollout_id: str) -> list[Entry]:
    """The sites of a rollout, by name."""
    query = select(RolloutSiteRow).where(RolloutSiteRow.rollout_id == rollout_id)
    return entries_of(session, query.order_by(RolloutSiteRow.site_name))


def entries_of(session: Session, query: Select[RolloutSiteRow]) -> list[Entry]:
    """The entries that a query selects, in its order."""
    rows = session.scalars(query.execution_options(populate_existing=True))
    return [_entry(row) for row in rows]


def entries_of_site(session: Session, site_id: str, failed_generation: int) -> list[Entry]:
    """Where a site is still on its way, and where it had arrived with `failed_generation`."""
    arrived = (RolloutSiteRow.state == EntryState.DONE.value) & (
        RolloutSiteRow.generation == failed_generation
    )
    query = select(RolloutSiteRow).where(
        RolloutSiteRow.site_id == site_id,
        or_(RolloutSiteRow.state.in_([state.value for state in OPEN_ENTRY]), arrived),
    )
    return [_entry(row) for row in session.scalars(query.order_by(RolloutSiteRow.id))]


def count_states(session: Session, rollout_id: str) -> Mapping[EntryState, int]:
    """How many sites of a rollout are in each state."""
    query = (
        select(RolloutSiteRow.state, func.count())
        .where(RolloutSiteRow.rollout_id == rollout_id)
        .group_by(RolloutSiteRow.state)
    )
    return {EntryState(state): count for state, count in session.execute(query)}


def change_entry(session: Session, entry_id: str, changes: Mapping[str, Any]) -> None:
    """Change columns of a rollout's site."""
    _assign(session.get_one(RolloutSiteRow, entry_id), changes)
    session.flush()


def change(session: Session, rollout_id: str, changes: Mapping[str, Any]) -> None:
    """Change columns of a rollout."""
    _assign(session.get_one(RolloutRow, rollout_id), changes)
    session.flush()


def _assign(row: RolloutRow | RolloutSiteRow, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value.value if isinstance(value, RolloutState | EntryState) else value)


def open_ones(session: Session, project_id: str, limit: int) -> list[Rollout]:
    """The newest rollouts that are under way, newest first, without their entries."""
    query = select(RolloutRow).where(
        RolloutRow.project_id == project_id,
        RolloutRow.state.in_([RolloutState.PENDING.value, RolloutState.PROGRESSING.value]),
    )
    return [
        _rollout(row) for row in session.scalars(query.order_by(RolloutRow.id.desc()).limit(limit))
    ]
