"""The row of a stack version."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Select, Text, UniqueConstraint, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.artifacts.model import Level
from dizuo.artifacts.reference import Reference
from dizuo.database.tables import Digest, Id, Millis, Name, ProjectId, Row
from dizuo.stacks.model import StackVersion, UsedDataset

_NUMBERING_LOCK = 0x737461636B  # an arbitrary fixed key ("stack") for PostgreSQL's advisory lock


class StackRow(Row):
    """One stack version. One run registers one stack."""

    __tablename__ = "stack_versions"
    __table_args__ = (
        UniqueConstraint("project_id", "name", "version"),
        Index("ix_stack_versions_parent_digest", "parent_digest"),
        Index("ix_stack_versions_input_digest", "input_digest"),
    )

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    name: Mapped[Name]
    version: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[Name]
    family: Mapped[Name]
    digest: Mapped[Digest] = mapped_column(unique=True)
    index_size_bytes: Mapped[int] = mapped_column(BigInteger)
    targets: Mapped[list[str]] = mapped_column(JSON)
    parent_digest: Mapped[Digest | None]
    input_digest: Mapped[Digest]
    run_id: Mapped[Name] = mapped_column(unique=True)
    recipe: Mapped[str] = mapped_column(Text)
    datasets: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    bytes_total: Mapped[int] = mapped_column(BigInteger)
    bytes_added: Mapped[int] = mapped_column(BigInteger)
    created_ms: Mapped[Millis]
    released_ms: Mapped[Millis | None]


def _stack(row: StackRow) -> StackVersion:
    return StackVersion(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        version=row.version,
        level=Level(row.level),
        family=row.family,
        digest=row.digest,
        index_size_bytes=row.index_size_bytes,
        targets=tuple(row.targets),
        parent_digest=row.parent_digest,
        input_digest=row.input_digest,
        run_id=row.run_id,
        recipe=row.recipe,
        datasets=tuple(UsedDataset.from_dict(used) for used in row.datasets),
        bytes_total=row.bytes_total,
        bytes_added=row.bytes_added,
        created_ms=row.created_ms,
        released_ms=row.released_ms,
    )


def _first(session: Session, query: Select[StackRow]) -> StackVersion | None:
    row = session.scalar(query.limit(1))
    return _stack(row) if row else None


def _all(session: Session, query: Select[StackRow]) -> list[StackVersion]:
    return [_stack(row) for row in session.scalars(query)]


def _named(project_id: str, name: str) -> Select[StackRow]:
    return select(StackRow).where(StackRow.project_id == project_id, StackRow.name == name)


def lock_numbering(session: Session) -> None:
    """Hold back others that number versions until this transaction ends. On SQLite writers queue
    at the start of their transactions and nothing is needed."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _NUMBERING_LOCK})


def next_version(session: Session, project_id: str, name: str) -> int:
    """One more than the newest version of a name; call it under `lock_numbering`."""
    query = select(func.max(StackRow.version)).where(
        StackRow.project_id == project_id, StackRow.name == name
    )
    return (session.scalar(query) or 0) + 1


def add(session: Session, stack: StackVersion) -> None:
    """Write a new version."""
    values = {name: value for name, value in asdict(stack).items() if name not in _CONVERTED}
    session.add(
        StackRow(
            **values,
            level=stack.level.value,
            targets=list(stack.targets),
            datasets=[{**asdict(used), "use": used.use.value} for used in stack.datasets],
        )
    )
    session.flush()


_CONVERTED = ("level", "targets", "datasets")


def by_run(session: Session, run_id: str) -> StackVersion | None:
    """The version that a run registered."""
    return _first(session, select(StackRow).where(StackRow.run_id == run_id))


def by_digest(session: Session, digest: str) -> StackVersion | None:
    """The version with this digest, in any project."""
    return _first(session, select(StackRow).where(StackRow.digest == digest))


def by_inputs(session: Session, project_id: str, input_digest: str) -> StackVersion | None:
    """The newest version built from these inputs."""
    query = select(StackRow).where(
        StackRow.project_id == project_id, StackRow.input_digest == input_digest
    )
    return _first(session, query.order_by(StackRow.id.desc()))


def find(session: Session, reference: Reference) -> StackVersion | None:
    """The version that a reference names: every part it gives must fit, and of those that fit the
    newest is it."""
    query = _named(reference.project, reference.name)
    if reference.version is not None:
        query = query.where(StackRow.version == reference.version)
    if reference.digest is not None:
        query = query.where(StackRow.digest == reference.digest)
    return _first(session, query.order_by(StackRow.version.desc()))


def newest(session: Session, project_id: str, name: str) -> StackVersion | None:
    """The newest version of a name."""
    return find(session, Reference(project_id, name))


def newest_released(session: Session, project_id: str, name: str) -> StackVersion | None:
    """The newest version of a name that was released."""
    query = _named(project_id, name).where(StackRow.released_ms.is_not(None))
    return _first(session, query.order_by(StackRow.version.desc()))


def versions(session: Session, project_id: str, name: str) -> list[StackVersion]:
    """Every version of a name, newest first."""
    return _all(session, _named(project_id, name).order_by(StackRow.version.desc()))


def newest_of_each(session: Session, project_id: str) -> list[StackVersion]:
    """The newest version of each name of a project, by name."""
    tops = (
        select(StackRow.name, func.max(StackRow.version).label("version"))
        .where(StackRow.project_id == project_id)
        .group_by(StackRow.name)
        .subquery()
    )
    query = select(StackRow).join(
        tops, (StackRow.name == tops.c.name) & (StackRow.version == tops.c.version)
    )
    return _all(session, query.where(StackRow.project_id == project_id).order_by(StackRow.name))


def children(session: Session, digest: str) -> list[StackVersion]:
    """The versions built directly on this one, oldest first."""
    query = select(StackRow).where(StackRow.parent_digest == digest)
    return _all(session, query.order_by(StackRow.id))


def digests(session: Session) -> list[str]:
    """The digests of all versions, in every project."""
    return list(session.scalars(select(StackRow.digest)))


def set_released(session: Session, stack_id: str, released_ms: int | None) -> None:
    """Write when a version was released; None where that was taken back."""
    session.get_one(StackRow, stack_id).released_ms = released_ms
    session.flush()


def refs(session: Session, project_id: str, digests: Collection[str]) -> dict[str, str]:
    """`name:version` of those of these digests that a project has."""
    query = select(StackRow.digest, StackRow.name, StackRow.version).where(
        StackRow.project_id == project_id, StackRow.digest.in_(digests)
    )
    return {digest: f"{name}:{version}" for digest, name, version in session.execute(query)}


def count(session: Session, project_id: str) -> tuple[int, int]:
    """How many versions a project has, and how many of them are released."""
    query = select(func.count(), func.count(StackRow.released_ms))
    found = session.execute(query.where(StackRow.project_id == project_id)).one()
    return found[0], found[1]


def newest_refs(
    session: Session, project_id: str, family: str, levels: Collection[Level], limit: int
) -> list[str]:
    """`name:version` of a family's newest versions of these levels, newest first."""
    query = (
        select(StackRow.name, StackRow.version)
        .where(
            StackRow.project_id == project_id,
            StackRow.family == family,
            StackRow.level.in_([level.value for level in levels]),
        )
        .order_by(StackRow.id.desc())
        .limit(limit)
    )
    return [f"{name}:{version}" for name, version in session.execute(query)]


def newest_of_all(session: Session, project_id: str) -> StackVersion | None:
    """The newest version of any name."""
    query = select(StackRow).where(StackRow.project_id == project_id)
    return _first(session, query.order_by(StackRow.id.desc()))
