"""Which values a column has."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session


def known_values(
    session: Session,
    column: InstrumentedAttribute[str],
    *where: ColumnElement[bool],
    limit: int | None = None,
) -> list[str]:
    """The first `limit` values of a column in the rows that `where` lets through, sorted.

    Each is one step in an index of what `where` compares and of the column, however many rows have
    it: a loose index scan (https://wiki.postgresql.org/wiki/Loose_indexscan).
    """
    walk = select(func.min(column).label("value")).where(*where).cte("walk", recursive=True)
    beyond = select(func.min(column)).where(*where, column > walk.c.value).scalar_subquery()
    walk = walk.union_all(select(beyond).where(walk.c.value.is_not(None)))
    return list(session.scalars(select(walk.c.value).where(walk.c.value.is_not(None)).limit(limit)))
