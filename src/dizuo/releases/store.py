"""The row of a release."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, String, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Digest, Id, Millis, Name, ProjectId, Row
from dizuo.releases.model import Release, ReleaseState

_SIGNING_LOCK = 0x72656C65617365  # an arbitrary fixed key ("release") for an advisory lock


class ReleaseRow(Row):
    """One release; a version is released at most once, and so is a digest."""

    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("project_id", "name", "version"),
        UniqueConstraint("project_id", "digest"),
    )

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    name: Mapped[Name]
    version: Mapped[Millis]  # 64 bits: a version may be any integer that JSON keeps exact
    digest: Mapped[Digest]
    size_bytes: Mapped[Millis]
    family: Mapped[Name]
    level: Mapped[Name]
    targets: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[Name]
    actor: Mapped[Name]
    created_ms: Mapped[Millis]
    withdrawn_ms: Mapped[Millis | None]


class NotedRootRow(Row):
    """A root of trust that the audit log has an entry of."""

    __tablename__ = "noted_roots"

    digest: Mapped[str] = mapped_column(String(71), primary_key=True)
    project_id: Mapped[ProjectId]
    version: Mapped[int]
    noted_ms: Mapped[Millis]


_COLUMNS = tuple(field.name for field in fields(Release))


def _release(row: ReleaseRow) -> Release:
    values = {name: getattr(row, name) for name in _COLUMNS}
    return Release(**{**values, "targets": tuple(row.targets), "state": ReleaseState(row.state)})


def lock(session: Session) -> None:
    """Let one transaction at a time decide what is signed. SQLite has one writer as it is."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SIGNING_LOCK})


def noted_roots(session: Session, digests: Collection[str]) -> set[str]:
    """Which of these roots were noted."""
    query = select(NotedRootRow.digest).where(NotedRootRow.digest.in_(digests))
    return set(session.scalars(query))


def add_noted_root(session: Session, digest: str, version: int, noted_ms: int) -> None:
    """Remember that a root was noted."""
    session.add(NotedRootRow(digest=digest, version=version, noted_ms=noted_ms))
    session.flush()


def add(session: Session, release: Release) -> None:
    """Write a new release."""
    values = {name: getattr(release, name) for name in _COLUMNS}
    values |= {"targets": list(release.targets), "state": release.state.value}
    session.add(ReleaseRow(**values))
    session.flush()


def update(session: Session, release_id: str, changes: dict[str, Any]) -> Release:
    """Change columns of an existing release and return it as it is then."""
    row = session.get_one(ReleaseRow, release_id)
    for name, value in changes.items():
        setattr(row, name, value.value if isinstance(value, ReleaseState) else value)
    session.flush()
    return _release(row)


def find(session: Session, project_id: str, release_id: str) -> Release | None:
    """The release with this id."""
    return _one(session, ReleaseRow.project_id == project_id, ReleaseRow.id == release_id)


def by_digest(session: Session, project_id: str, digest: str) -> Release | None:
    """The release of this digest."""
    return _one(session, ReleaseRow.project_id == project_id, ReleaseRow.digest == digest)


def newest_of(session: Session, project_id: str, name: str, version: int | None) -> Release | None:
    """The release of this version, or of the highest signed one if none is named."""
    conditions = [ReleaseRow.project_id == project_id, ReleaseRow.name == name]
    if version is None:
        conditions.append(ReleaseRow.state == ReleaseState.SIGNED.value)
    else:
        conditions.append(ReleaseRow.version == version)
    return _one(session, *conditions)


def newest(session: Session, project_id: str, limit: int) -> list[Release]:
    """The newest releases of a project, newest first."""
    query = select(ReleaseRow).where(ReleaseRow.project_id == project_id)
    return releases_of(session, query.order_by(ReleaseRow.id.desc()).limit(limit))


def releases_of(session: Session, query: Select[ReleaseRow]) -> list[Release]:
    """The releases that a query selects, in its order."""
    return [_release(row) for row in session.scalars(query)]


def signed(session: Session, project_id: str) -> Iterator[Release]:
    """Every release of a project that is signed."""
    query = select(ReleaseRow).where(
        ReleaseRow.project_id == project_id, ReleaseRow.state == ReleaseState.SIGNED.value
    )
    return (_release(row) for row in session.scalars(query))


def _one(session: Session, *conditions: ColumnElement[bool]) -> Release | None:
    query = select(ReleaseRow).where(*conditions).order_by(ReleaseRow.version.desc()).limit(1)
    row = session.scalar(query)
    return _release(row) if row else None
