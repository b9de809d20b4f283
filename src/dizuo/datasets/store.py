"""Rows of datasets, their versions, and returned samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    and_,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from dizuo.database.tables import Digest, Id, Millis, Name, ProjectId, Row
from dizuo.datasets.model import DatasetVersion, Mode, Sample


class DatasetRow(Row):
    """A dataset. `uri` is its Lance table, `holdout` the share that goes to its test."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    name: Mapped[Name]
    family: Mapped[Name]
    uri: Mapped[str] = mapped_column(Text)
    holdout: Mapped[float]
    created_ms: Mapped[Millis]


class DatasetVersionRow(Row):
    """A version of a dataset; it exists once this row does."""

    __tablename__ = "dataset_versions"
    __table_args__ = (
        UniqueConstraint("dataset_id", "version"),
        UniqueConstraint("dataset_id", "origin"),
    )

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    version: Mapped[int]
    digest: Mapped[Digest]
    num_rows: Mapped[int]
    tag: Mapped[Name]
    origin: Mapped[str] = mapped_column(Text)
    mode: Mapped[Name]
    parent_version: Mapped[int | None]
    num_added: Mapped[int]
    num_removed: Mapped[int]
    num_rejected: Mapped[int]
    num_duplicates: Mapped[int]
    created_ms: Mapped[Millis]


_OF_SITE = ("project_id", "site", "received_ms", "taken_ms", "reason", "confidence")


class SampleRow(Row):
    """A returned sample; its content is a file named by its digest.

    `changed` is whether its label is another than the model's answer, None without a label. The
    index is what the queue is sorted and counted by without a look at the rows.
    """

    __tablename__ = "samples"
    __table_args__ = (
        UniqueConstraint("project_id", "digest"),
        Index(
            "ix_samples_queue",
            *("project_id", "state", "reason", "digest", "changed", "site", "served_as", "family"),
        ),
        Index(None, "reviewer", "reviewed_ms"),
        Index(None, "project_id", "served_as"),
        # All that histories of a site are made of, so that they are read from the index alone.
        Index("ix_samples_of_site", *_OF_SITE),
    )

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    digest: Mapped[Digest]
    site: Mapped[Name]
    family: Mapped[Name]
    served_as: Mapped[Name]
    stack_digest: Mapped[Digest]
    answer: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    confidence: Mapped[float]
    reason: Mapped[Name]
    taken_ms: Mapped[Millis]
    received_ms: Mapped[Millis]
    state: Mapped[Name] = mapped_column(index=True)
    label: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    changed: Mapped[bool | None]
    reviewer: Mapped[str] = mapped_column(Text)
    reviewed_ms: Mapped[Millis | None]
    dataset_version_id: Mapped[str | None] = mapped_column(
        ForeignKey("dataset_versions.id"), index=True
    )


def dataset(session: Session, project_id: str, name: str) -> DatasetRow | None:
    """The dataset of that name."""
    return session.scalar(
        select(DatasetRow).where(DatasetRow.project_id == project_id, DatasetRow.name == name)
    )


def datasets(session: Session, project_id: str) -> list[DatasetRow]:
    """Every dataset of a project, by name."""
    query = select(DatasetRow).where(DatasetRow.project_id == project_id)
    return list(session.scalars(query.order_by(DatasetRow.name)))


def _named(project_id: str, text: str) -> ColumnElement[bool]:
    name = DatasetRow.name.contains(text.lower(), autoescape=True)
    return and_(DatasetRow.project_id == project_id, name)


def num_datasets(session: Session, project_id: str, text: str) -> int:
    """How many datasets of a project have `text` in their name."""
    query = select(func.count()).select_from(DatasetRow).where(_named(project_id, text))
    return session.scalar(query) or 0


def some_datasets(
    session: Session, project_id: str, text: str, offset: int, limit: int
) -> list[tuple[DatasetRow, DatasetVersionRow, int]]:
    """Datasets with `text` in their name, by name: each with its newest version, and how many
    versions it has."""
    own = DatasetVersionRow.dataset_id == DatasetRow.id
    newest = select(func.max(DatasetVersionRow.version)).where(own).correlate(DatasetRow)
    number = select(func.count(DatasetVersionRow.id)).where(own).correlate(DatasetRow)
    latest = aliased(DatasetVersionRow)
    query = (
        select(DatasetRow, latest, number.scalar_subquery())
        .join(
            latest,
            and_(latest.dataset_id == DatasetRow.id, latest.version == newest.scalar_subquery()),
        )
        .where(_named(project_id, text))
        .order_by(DatasetRow.name)
        .offset(offset)
        .limit(limit)
    )
    return [(owner, version, count) for owner, version, count in session.execute(query)]


def known_names(session: Session, project_id: str, names: Collection[str]) -> set[str]:
    """Which of these names are those of datasets."""
    query = select(DatasetRow.name).where(
        DatasetRow.project_id == project_id, DatasetRow.name.in_(names)
    )
    return set(session.scalars(query))


def to_version(owner: DatasetRow, row: DatasetVersionRow) -> DatasetVersion:
    """The noun of a version row."""
    return DatasetVersion(
        id=row.id,
        project_id=row.project_id,
        name=owner.name,
        family=owner.family,
        version=row.version,
        digest=row.digest,
        num_rows=row.num_rows,
        uri=owner.uri,
        tag=row.tag,
        origin=row.origin,
        mode=Mode(row.mode),
        parent_version=row.parent_version,
        num_added=row.num_added,
        num_removed=row.num_removed,
        num_rejected=row.num_rejected,
        num_duplicates=row.num_duplicates,
        created_ms=row.created_ms,
    )


def to_version_row(dataset_id: str, version: DatasetVersion) -> DatasetVersionRow:
    """The row of a version."""
    return DatasetVersionRow(
        id=version.id,
        project_id=version.project_id,
        dataset_id=dataset_id,
        version=version.version,
        digest=version.digest,
        num_rows=version.num_rows,
        tag=version.tag,
        origin=version.origin,
        mode=version.mode.value,
        parent_version=version.parent_version,
        num_added=version.num_added,
        num_removed=version.num_removed,
        num_rejected=version.num_rejected,
        num_duplicates=version.num_duplicates,
        created_ms=version.created_ms,
    )


def versions(session: Session, owner: DatasetRow) -> list[DatasetVersion]:
    """Every version of a dataset, oldest first."""
    query = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == owner.id)
    rows = session.scalars(query.order_by(DatasetVersionRow.version))
    return [to_version(owner, row) for row in rows]


def newest_versions(
    session: Session, owner: DatasetRow, offset: int, limit: int
) -> list[DatasetVersion]:
    """Some versions of a dataset, newest first."""
    query = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == owner.id)
    some = query.order_by(DatasetVersionRow.version.desc()).offset(offset).limit(limit)
    return [to_version(owner, row) for row in session.scalars(some)]


def version(session: Session, owner: DatasetRow, number: int | None) -> DatasetVersion | None:
    """One version of a dataset, the newest if `number` is None."""
    query = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == owner.id)
    if number is not None:
        query = query.where(DatasetVersionRow.version == number)
    row = session.scalar(query.order_by(DatasetVersionRow.version.desc()).limit(1))
    return to_version(owner, row) if row else None


def version_by_id(session: Session, version_id: str) -> DatasetVersion | None:
    """The version with this id."""
    row = session.get(DatasetVersionRow, version_id)
    owner = session.get(DatasetRow, row.dataset_id) if row else None
    return to_version(owner, row) if row and owner else None


def version_by_origin(session: Session, owner: DatasetRow, origin: str) -> DatasetVersion | None:
    """The version that was added under this key."""
    query = select(DatasetVersionRow).where(
        DatasetVersionRow.dataset_id == owner.id, DatasetVersionRow.origin == origin
    )
    row = session.scalar(query)
    return to_version(owner, row) if row else None


def num_versions(session: Session, owner: DatasetRow) -> int:
    """How many versions a dataset has."""
    query = select(func.count()).where(DatasetVersionRow.dataset_id == owner.id)
    return session.scalar(query) or 0


def known_samples(session: Session, project_id: str, digests: Sequence[str]) -> set[str]:
    """Which of these samples the hub has already."""
    query = select(SampleRow.digest).where(
        SampleRow.project_id == project_id, SampleRow.digest.in_(digests)
    )
    return set(session.scalars(query))


def add_sample(session: Session, values: Mapping[str, Any]) -> bool:
    """Write a sample unless its digest is there already; returns whether it was new."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert(SampleRow) if on_postgresql else sqlite.insert(SampleRow)
    query = insert.values(**values).on_conflict_do_nothing(index_elements=["project_id", "digest"])
    return session.execute(query.returning(SampleRow.id)).first() is not None


def to_sample(row: SampleRow) -> Sample:
    """The noun of a sample row."""
    return Sample(
        id=row.id,
        project_id=row.project_id,
        digest=row.digest,
        site=row.site,
        family=row.family,
        served_as=row.served_as,
        stack_digest=row.stack_digest,
        answer=row.answer,
        confidence=row.confidence,
        reason=row.reason,
        taken_ms=row.taken_ms,
        received_ms=row.received_ms,
        state=row.state,
        label=row.label,
        reviewer=row.reviewer,
        reviewed_ms=row.reviewed_ms,
        dataset_version_id=row.dataset_version_id,
    )


def newest_refs(session: Session, project_id: str, family: str, limit: int) -> list[str]:
    """`name@version` of a family's newest dataset versions, newest first."""
    query = (
        select(DatasetRow.name, DatasetVersionRow.version)
        .join(DatasetVersionRow, DatasetVersionRow.dataset_id == DatasetRow.id)
        .where(DatasetRow.project_id == project_id, DatasetRow.family == family)
        .order_by(DatasetVersionRow.id.desc())
        .limit(limit)
    )
    return [f"{name}@{version}" for name, version in session.execute(query)]
