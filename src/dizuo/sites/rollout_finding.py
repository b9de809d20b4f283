"""Looking at rollouts a page at a time: one may have ten thousand sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.sites import rollout_store as store
from dizuo.sites.errors import RolloutNotFound
from dizuo.sites.rollout_model import Entry, EntryState, Rollout
from dizuo.sites.rollout_store import RolloutRow, RolloutSiteRow


@dataclass(frozen=True, slots=True)
class Progress:
    """A rollout, without its entries, and how many of its sites are in each state."""

    rollout: Rollout
    states: Mapping[EntryState, int]

    @property
    def num_sites(self) -> int:
        """All of them."""
        return sum(self.states.values())

    @property
    def num_done(self) -> int:
        """Those that have arrived."""
        return self.states.get(EntryState.DONE, 0)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which sites of a rollout: a part of their names, and their state; empty lets all through."""

    text: str = ""
    state: EntryState | None = None


def show(session: Session, rollout_id: str, *, project_id: str = DEFAULT_PROJECT) -> Progress:
    """One rollout.

    Raises:
        RolloutNotFound: there is none with this id.
    """
    found = store.head(session, project_id, rollout_id)
    if found is None:
        raise RolloutNotFound(
            f"There is no rollout {rollout_id[:80]!r}.",
            next_step="List them: dizuo rollout status.",
        )
    return Progress(found, store.count_states(session, rollout_id))


def entries(
    session: Session, rollout: Rollout, wanted: EntryFilter, *, limit: int, offset: int = 0
) -> list[Entry]:
    """Some of the sites of a rollout, by name."""
    query = select(RolloutSiteRow).where(*_conditions(rollout, wanted))
    query = query.order_by(RolloutSiteRow.site_name).limit(limit).offset(offset)
    return store.entries_of(session, query)


def count_entries(session: Session, rollout: Rollout, wanted: EntryFilter) -> int:
    """How many sites of a rollout the filter lets through."""
    query = select(func.count()).select_from(RolloutSiteRow)
    return session.scalar(query.where(*_conditions(rollout, wanted))) or 0


def newest(
    session: Session,
    *,
    release_id: str = "",
    project_id: str = DEFAULT_PROJECT,
    limit: int,
    offset: int = 0,
) -> list[Progress]:
    """Some of a project's rollouts, or of those of one release, newest first."""
    query = select(RolloutRow).where(RolloutRow.project_id == project_id)
    if release_id:
        query = query.where(RolloutRow.release_id == release_id)
    query = query.order_by(RolloutRow.id.desc()).limit(limit).offset(offset)
    found = store.rollouts_of(session, query)
    return [Progress(one, store.count_states(session, one.id)) for one in found]


def count(session: Session, *, project_id: str = DEFAULT_PROJECT) -> int:
    """How many rollouts a project has had."""
    query = select(func.count()).select_from(RolloutRow)
    return session.scalar(query.where(RolloutRow.project_id == project_id)) or 0


def _conditions(rollout: Rollout, wanted: EntryFilter) -> list[ColumnElement[bool]]:
    conditions = [RolloutSiteRow.rollout_id == rollout.id]
    if wanted.text:
        conditions.append(RolloutSiteRow.site_name.contains(wanted.text.lower(), autoescape=True))
    if wanted.state is not None:
        conditions.append(RolloutSiteRow.state == wanted.state.value)
    return conditions
