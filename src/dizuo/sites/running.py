"""Which sites say that they run a stack version, asked of the database alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true
from sqlalchemy.orm import Session

from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.sites.store import SiteRow


@dataclass(frozen=True, slots=True)
class RunningSite:
    """A site that says it runs a stack version, and under which names."""

    name: str
    state: str
    generation: int
    served_as: tuple[str, ...]
    last_seen_ms: int


def num_sites(
    session: Session, digests: Collection[str], *, project_id: str = DEFAULT_PROJECT
) -> dict[str, int]:
    """How many sites run each of these versions; those that no site runs are left out."""
    each, digest = _each(session)
    query = (
        select(digest, func.count(SiteRow.id.distinct()))
        .select_from(SiteRow)
        .join(each, true())
        .where(SiteRow.project_id == project_id, digest.in_(digests))
        .group_by(digest)
    )
    return dict(iter(session.execute(query)))


def sites(
    session: Session,
    digest: str,
    *,
    limit: int | None = None,
    offset: int = 0,
    project_id: str = DEFAULT_PROJECT,
) -> list[RunningSite]:
    """The sites that run a version, by name."""
    query = select(
        SiteRow.name,
        SiteRow.state,
        SiteRow.running_generation,
        SiteRow.running_stacks,
        SiteRow.last_seen_ms,
    )
    query = query.where(SiteRow.project_id == project_id, SiteRow.id.in_(_running(session, digest)))
    rows = session.execute(query.order_by(SiteRow.name).limit(limit).offset(offset))
    return [
        RunningSite(name, state, generation, _served_as(stacks, digest), seen)
        for name, state, generation, stacks, seen in rows
    ]


def _served_as(stacks: list[dict[str, Any]], digest: str) -> tuple[str, ...]:
    return tuple(one["served_as"] for one in stacks if one["digest"] == digest)


def _running(session: Session, digest: str) -> Select[Any]:
    each, of_one = _each(session)
    return select(SiteRow.id).select_from(SiteRow).join(each, true()).where(of_one == digest)


def _each(session: Session) -> tuple[Any, ColumnElement[str]]:
    """What a site runs, one row for each, and the digest of such a row: JSON is taken apart in
    each database's own way."""
    if session.get_bind().dialect.name == "postgresql":
        each = func.json_array_elements(SiteRow.running_stacks).table_valued("value")
        return each, each.c.value.op("->>")("digest")
    each = func.json_each(SiteRow.running_stacks).table_valued("value")
    return each, func.json_extract(each.c.value, "$.digest")
