"""What an improvement could begin with: stacks with a recipe to run again, those that sites serve
first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Subquery, func, or_, select, true
from sqlalchemy.orm import Session

from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.sites.running import taken_apart
from dizuo.sites.store import SiteRow
from dizuo.stacks.store import StackRow


@dataclass(frozen=True, slots=True)
class Served:
    """A version with a recipe, under a name that `num_sites` sites serve it under."""

    served_as: str
    name: str
    version: int
    num_sites: int

    @property
    def ref(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"


def served(
    session: Session, text: str = "", *, limit: int, project_id: str = DEFAULT_PROJECT
) -> list[Served]:
    """What sites say that they serve and that has a recipe, by the name it is served under; only
    that whose name, or the one it is served under, holds a text. What is served under just that
    text comes first."""
    said = _said(session, project_id)
    names = (said.c.served_as, StackRow.name)
    query = (
        select(*names, StackRow.version, said.c.num_sites)
        .join(said, StackRow.digest == said.c.digest)
        .where(
            StackRow.project_id == project_id,
            StackRow.recipe != "",
            or_(*(name.contains(text, autoescape=True) for name in names)),
        )
        .order_by(said.c.served_as != text, *names, StackRow.version.desc())
    )
    return [Served(*row) for row in session.execute(query.limit(limit))]


def others(
    session: Session, text: str = "", *, limit: int, project_id: str = DEFAULT_PROJECT
) -> Sequence[str]:
    """`name:version` of the newest version with a recipe of each name that holds a text and that
    no site serves any version of, by name."""
    said = _said(session, project_id)
    there = select(StackRow.name).join(said, StackRow.digest == said.c.digest)
    query = select(StackRow.name, func.max(StackRow.version)).where(
        StackRow.project_id == project_id,
        StackRow.recipe != "",
        StackRow.name.contains(text, autoescape=True),
        StackRow.name.not_in(there.where(StackRow.project_id == project_id)),
    )
    rows = session.execute(query.group_by(StackRow.name).order_by(StackRow.name).limit(limit))
    return [f"{name}:{version}" for name, version in rows]


def _said(session: Session, project_id: str) -> Subquery:
    """What sites say that they serve: each digest under each name, and by how many. Put together
    before it is joined with stacks, so that what each site says is taken apart once."""
    each, digest, served_as = taken_apart(session, "digest", "served_as")
    columns = (served_as.label("served_as"), digest.label("digest"))
    query = select(*columns, func.count().label("num_sites")).select_from(SiteRow)
    query = query.join(each, true()).where(SiteRow.project_id == project_id)
    return query.group_by(served_as, digest).subquery()
