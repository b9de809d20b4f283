"""What an improvement could begin with: stacks with a recipe to run again, those that sites serve
first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select, true
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
    each, digest, served_as = taken_apart(session, "digest", "served_as")
    query = (
        select(served_as, StackRow.name, StackRow.version, func.count())
        .select_from(SiteRow)
        .join(each, true())
        .join(StackRow, StackRow.digest == digest)
        .where(
            SiteRow.project_id == project_id,
            StackRow.project_id == project_id,
            StackRow.recipe != "",
            or_(*(name.contains(text, autoescape=True) for name in (served_as, StackRow.name))),
        )
        .group_by(served_as, StackRow.name, StackRow.version)
        .order_by(served_as != text, served_as, StackRow.name, StackRow.version.desc())
    )
    return [Served(*row) for row in session.execute(query.limit(limit))]


def others(
    session: Session, text: str = "", *, limit: int, project_id: str = DEFAULT_PROJECT
) -> Sequence[str]:
    """`name:version` of the newest version with a recipe of each name that holds a text and that
    no site serves any version of, by name."""
    each, digest = taken_apart(session, "digest")
    there = (
        select(StackRow.name)
        .select_from(SiteRow)
        .join(each, true())
        .join(StackRow, StackRow.digest == digest)
        .where(SiteRow.project_id == project_id, StackRow.project_id == project_id)
    )
    query = select(StackRow.name, func.max(StackRow.version)).where(
        StackRow.project_id == project_id,
        StackRow.recipe != "",
        StackRow.name.contains(text, autoescape=True),
        StackRow.name.not_in(there),
    )
    rows = session.execute(query.group_by(StackRow.name).order_by(StackRow.name).limit(limit))
    return [f"{name}:{version}" for name, version in rows]
