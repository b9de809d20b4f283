"""Which sites say that they run a stack version, asked of the database alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, String, func, select, true, type_coerce
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
    each, digest = taken_apart(session, "digest")
    query = (
        select(digest, func.count(SiteRow.id.distinct()))
        .select_from(SiteRow)
        .join(each, true())
        .where(SiteRow.project_id == project_id, digest.in_(digests))
        .group_by(digest)
    )
    return dict(iter(session.execute(query)))


def most(
    session: Session, seen_since_ms: int, limit: int, *, project_id: str = DEFAULT_PROJECT
) -> list[tuple[str, int]]:
    """The digests of the versions that most of the sites run that were seen since, and how many do,
    the most first."""
    each, digest = taken_apart(session, "digest")
    number = func.count(SiteRow.id.distinct())
    query = (
        select(digest, number)
        .select_from(SiteRow)
        .join(each, true())
        .where(SiteRow.project_id == project_id, SiteRow.last_seen_ms >= seen_since_ms)
        .group_by(digest)
        .order_by(number.desc(), digest)
    )
    return [(found, count) for found, count in session.execute(query.limit(limit))]


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


def serving(session: Session, served_as: str, *, project_id: str = DEFAULT_PROJECT) -> list[str]:
    """The names of the sites that serve something under a name, in their order."""
    query = _serving(session, served_as, project_id, SiteRow.name)
    return list(session.scalars(query.order_by(SiteRow.name)))


def num_serving(session: Session, served_as: str, *, project_id: str = DEFAULT_PROJECT) -> int:
    """How many sites serve something under a name."""
    return session.scalar(_serving(session, served_as, project_id, func.count())) or 0


def _serving(session: Session, served_as: str, project_id: str, column: Any) -> Select[Any]:
    """No site serves two under one name, so each is there once."""
    each, name = taken_apart(session, "served_as")
    query = select(column).select_from(SiteRow).join(each, true())
    return query.where(SiteRow.project_id == project_id, name == served_as)


def _served_as(stacks: list[dict[str, Any]], digest: str) -> tuple[str, ...]:
    return tuple(one["served_as"] for one in stacks if one["digest"] == digest)


def _running(session: Session, digest: str) -> Select[Any]:
    each, of_one = taken_apart(session, "digest")
    return select(SiteRow.id).select_from(SiteRow).join(each, true()).where(of_one == digest)


def taken_apart(session: Session, *keys: str) -> tuple[Any, ...]:
    """What a site runs, one row for each, to join with sites; then what such a row has under each
    of these keys, as text: JSON is taken apart in each database's own way."""
    if session.get_bind().dialect.name == "postgresql":
        each = func.json_array_elements(SiteRow.running_stacks).table_valued("value")
        return each, *(type_coerce(each.c.value.op("->>")(key), String) for key in keys)
    each = func.json_each(SiteRow.running_stacks).table_valued("value")
    texts = (func.json_extract(each.c.value, f"$.{key}") for key in keys)
    return each, *(type_coerce(text, String) for text in texts)
