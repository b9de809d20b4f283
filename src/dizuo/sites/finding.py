"""Finding sites: searched, filtered, counted and paged by the database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.sites import store
from dizuo.sites.model import Site
from dizuo.sites.store import SITES


@dataclass(frozen=True, slots=True)
class SiteFilter:
    """Which sites; what is empty lets all through.

    `text` is a part of their names, `state` their own word, `seen_before_ms` lets those through
    that were not heard of since then.
    """

    text: str = ""
    state: str = ""
    seen_before_ms: int | None = None
    project_id: str = DEFAULT_PROJECT


def find(session: Session, wanted: SiteFilter, *, limit: int, offset: int = 0) -> list[Site]:
    """Some of the sites that the filter lets through, by name."""
    query = select(SITES).where(*_conditions(wanted)).order_by(SITES.c.name)
    return store.sites_of(session, query.limit(limit).offset(offset))


def count(session: Session, wanted: SiteFilter) -> int:
    """How many sites the filter lets through."""
    query = select(func.count()).select_from(SITES).where(*_conditions(wanted))
    return session.scalar(query) or 0


def is_taken(session: Session, name: str, *, project_id: str = DEFAULT_PROJECT) -> bool:
    """Whether a project has a site of this name."""
    return store.by_name(session, project_id, name) is not None


def _conditions(wanted: SiteFilter) -> list[ColumnElement[bool]]:
    conditions = [SITES.c.project_id == wanted.project_id]
    if wanted.text:
        conditions.append(SITES.c.name.contains(wanted.text.lower(), autoescape=True))
    if wanted.state:
        conditions.append(SITES.c.state == wanted.state)
    if wanted.seen_before_ms is not None:
        conditions.append(SITES.c.last_seen_ms < wanted.seen_before_ms)
    return conditions
