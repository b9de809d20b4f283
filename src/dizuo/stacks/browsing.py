"""Looking through many stacks: a page at a time, searched and filtered in the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from dizuo.artifacts.model import Level
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.stacks.model import StackVersion
from dizuo.stacks.store import StackRow

_FIELDS = (
    "name",
    "version",
    "level",
    "family",
    "digest",
    "parent_digest",
    "run_id",
    "bytes_total",
    "bytes_added",
    "created_ms",
    "released_ms",
)


@dataclass(frozen=True, slots=True)
class StackCard:
    """A stack version as lists and pictures show it: without its recipe and its data."""

    name: str
    version: int
    level: Level
    family: str
    digest: str
    parent_digest: str | None
    run_id: str
    bytes_total: int
    bytes_added: int
    created_ms: int
    released_ms: int | None

    @property
    def ref(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"

    @classmethod
    def of(cls, stack: StackVersion) -> StackCard:
        """The card of a version that was read whole."""
        return cls(**{name: getattr(stack, name) for name in _FIELDS})


@dataclass(frozen=True, slots=True)
class Branch:
    """The newest version of a name, and what it stands on: its parent first, its base last.

    What stands in another project, or is not registered any more, is left out.
    """

    top: StackCard
    below: tuple[StackCard, ...]


@dataclass(frozen=True, slots=True)
class StackFilter:
    """Which names; empty fields let all through.

    `search` is a part of a name, `level` and `family` are those of its newest version, `base` is
    the name of the L0 that it stands on.
    """

    search: str = ""
    level: str = ""
    family: str = ""
    base: str = ""
    project_id: str = DEFAULT_PROJECT


class _Standing:
    """The newest version of each name beside the two that it can stand on: levels are three."""

    def __init__(self, wanted: StackFilter) -> None:
        self.top, self.parent, self.root = (aliased(StackRow) for _ in range(3))
        self.base = func.coalesce(self.root.name, self.parent.name, self.top.name)
        self._wanted = wanted

    def select(self, *columns: Any) -> Select[Any]:
        """These columns of the versions that the filter lets through."""
        top, parent, root, project = self.top, self.parent, self.root, self._wanted.project_id
        newest = (
            select(StackRow.name, func.max(StackRow.version).label("version"))
            .where(StackRow.project_id == project)
            .group_by(StackRow.name)
            .subquery()
        )
        query = (
            select(*columns)
            .select_from(newest)
            .join(top, (top.name == newest.c.name) & (top.version == newest.c.version))
            .outerjoin(parent, _is(parent, top.parent_digest, project))
            .outerjoin(root, _is(root, parent.parent_digest, project))
        )
        return query.where(top.project_id == project, *self._conditions())

    def _conditions(self) -> list[ColumnElement[bool]]:
        wanted = self._wanted
        conditions = []
        if wanted.search:
            conditions.append(self.top.name.contains(wanted.search.lower(), autoescape=True))
        for column, value in (
            (self.top.level, wanted.level),
            (self.top.family, wanted.family),
            (self.base, wanted.base),
        ):
            if value:
                conditions.append(column == value)
        return conditions

    def order(self) -> tuple[Any, ...]:
        """By base, then by industry, each before what stands on it."""
        industry = case(
            (self.top.level == Level.L1.value, self.top.name),
            (self.parent.level == Level.L1.value, self.parent.name),
            else_="",
        )
        return self.base, industry, self.top.level, self.top.name


def _is(row: type[StackRow], digest: Any, project_id: str) -> ColumnElement[bool]:
    return and_(row.digest == digest, row.project_id == project_id)


def _columns(row: type[StackRow]) -> list[Any]:
    return [getattr(row, name) for name in _FIELDS]


def _card(values: Sequence[Any]) -> StackCard:
    given = dict(zip(_FIELDS, values, strict=True))
    return StackCard(**{**given, "level": Level(given["level"])})


def branches(session: Session, wanted: StackFilter, *, limit: int, offset: int = 0) -> list[Branch]:
    """The newest version of each name with what it stands on: bases by name, and each followed by
    what stands on it."""
    standing = _Standing(wanted)
    columns = [
        *_columns(standing.top),
        *_columns(standing.parent),
        *_columns(standing.root),
    ]
    query = standing.select(*columns).order_by(*standing.order()).limit(limit).offset(offset)
    return [_branch(row) for row in session.execute(query)]


def _branch(row: Row[Any]) -> Branch:
    size = len(_FIELDS)
    top, *below = (row[start : start + size] for start in range(0, 3 * size, size))
    return Branch(_card(top), tuple(_card(one) for one in below if one[0] is not None))


def count_names(session: Session, wanted: StackFilter) -> int:
    """How many names the filter lets through."""
    return session.scalar(_Standing(wanted).select(func.count())) or 0


def bases(session: Session, *, limit: int, project_id: str = DEFAULT_PROJECT) -> list[str]:
    """The names of L0 stacks, in their order."""
    query = select(StackRow.name).where(
        StackRow.project_id == project_id, StackRow.level == Level.L0.value
    )
    return list(session.scalars(query.distinct().order_by(StackRow.name).limit(limit)))


def families(session: Session, *, project_id: str = DEFAULT_PROJECT) -> list[str]:
    """The families that a project has stacks of."""
    query = select(StackRow.family).where(StackRow.project_id == project_id)
    return list(session.scalars(query.distinct().order_by(StackRow.family)))


def versions(
    session: Session,
    name: str,
    *,
    limit: int,
    offset: int = 0,
    project_id: str = DEFAULT_PROJECT,
) -> list[StackCard]:
    """Versions of a name, newest first."""
    query = select(*_columns(StackRow)).where(_named(project_id, name))
    query = query.order_by(StackRow.version.desc()).limit(limit).offset(offset)
    return [_card(row) for row in session.execute(query)]


def count_versions(session: Session, name: str, *, project_id: str = DEFAULT_PROJECT) -> int:
    """How many versions a name has."""
    query = select(func.count()).select_from(StackRow).where(_named(project_id, name))
    return session.scalar(query) or 0


def neighbours(session: Session, stack: StackVersion) -> tuple[StackCard | None, StackCard | None]:
    """The versions of the same name just before and just after one."""
    named = _named(stack.project_id, stack.name)
    before = select(*_columns(StackRow)).where(named, StackRow.version < stack.version)
    after = select(*_columns(StackRow)).where(named, StackRow.version > stack.version)
    found = (
        session.execute(before.order_by(StackRow.version.desc()).limit(1)).first(),
        session.execute(after.order_by(StackRow.version).limit(1)).first(),
    )
    earlier, later = (None if row is None else _card(row) for row in found)
    return earlier, later


def cards(
    session: Session, digests: Collection[str], *, project_id: str = DEFAULT_PROJECT
) -> dict[str, StackCard]:
    """Those of these digests that a project has."""
    query = select(*_columns(StackRow)).where(
        StackRow.project_id == project_id, StackRow.digest.in_(digests)
    )
    return {card.digest: card for card in (_card(row) for row in session.execute(query))}


def children(
    session: Session, digest: str, *, limit: int, project_id: str = DEFAULT_PROJECT
) -> list[StackCard]:
    """Versions that were built directly on one, newest first."""
    query = select(*_columns(StackRow)).where(
        StackRow.parent_digest == digest, StackRow.project_id == project_id
    )
    return [_card(row) for row in session.execute(query.order_by(StackRow.id.desc()).limit(limit))]


def _named(project_id: str, name: str) -> ColumnElement[bool]:
    return (StackRow.project_id == project_id) & (StackRow.name == name)


def newest_versions(
    session: Session, names: Collection[str], *, project_id: str = DEFAULT_PROJECT
) -> dict[str, int]:
    """The number of the newest version of each of these names."""
    query = select(StackRow.name, func.max(StackRow.version))
    query = query.where(StackRow.project_id == project_id, StackRow.name.in_(names))
    return dict(iter(session.execute(query.group_by(StackRow.name))))
