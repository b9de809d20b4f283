"""Rows of the labelling desk: who looks at which sample, who left which, and second opinions."""

from __future__ import annotations

from sqlalchemy import ColumnElement, ForeignKey, Index, Select, Text, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Id, Millis, Name, ProjectId, Row
from dizuo.datasets.store import SampleRow


class ClaimRow(Row):
    """A sample that somebody has before them. `token` is that of the page which shows it."""

    __tablename__ = "sample_claims"

    sample_id: Mapped[str] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    project_id: Mapped[ProjectId]
    reviewer: Mapped[Name] = mapped_column(index=True)
    token: Mapped[Name] = mapped_column(unique=True)
    look: Mapped[Name]
    until_ms: Mapped[Millis]


class SkipRow(Row):
    """A sample that somebody does not want to see before `until_ms`."""

    __tablename__ = "sample_skips"

    sample_id: Mapped[str] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    reviewer: Mapped[Name] = mapped_column(primary_key=True)
    until_ms: Mapped[Millis]


class OpinionRow(Row):
    """What a second reviewer said of a sample without knowing what the first had said.

    Both are canonical JSON, `null` for a sample that cannot be used. `is_class` is whether neither
    of them is an object or a list. `settled_ms` is when a third look decided between them.
    """

    __tablename__ = "sample_opinions"
    __table_args__ = (
        Index(None, "project_id", "served_as", "is_class", "agrees"),
        Index(None, "reviewer", "given_ms"),
    )

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    sample_id: Mapped[str] = mapped_column(ForeignKey("samples.id"), unique=True)
    served_as: Mapped[Name]
    first_reviewer: Mapped[Name]
    first_said: Mapped[str] = mapped_column(Text)
    reviewer: Mapped[Name]
    said: Mapped[str] = mapped_column(Text)
    is_class: Mapped[bool]
    agrees: Mapped[bool]
    given_ms: Mapped[Millis]
    settled_by: Mapped[Name]
    settled_ms: Mapped[Millis | None]


def claim(session: Session, row: ClaimRow, now_ms: int) -> bool:
    """Write a claim unless somebody else's on the same sample still holds; returns whether it was
    written. Of several at once one is."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert(ClaimRow) if on_postgresql else sqlite.insert(ClaimRow)
    values = {
        name: getattr(row, name)
        for name in ("sample_id", "project_id", "reviewer", "token", "look", "until_ms")
    }
    query = insert.values(**values).on_conflict_do_update(
        index_elements=["sample_id"],
        set_=values,
        where=(ClaimRow.until_ms <= now_ms) | (ClaimRow.reviewer == row.reviewer),
    )
    return session.execute(query.returning(ClaimRow.sample_id)).first() is not None


def claim_by_token(session: Session, token: str) -> ClaimRow | None:
    """The claim of a page, locked until the transaction ends."""
    return session.scalar(select(ClaimRow).where(ClaimRow.token == token).with_for_update())


def claim_of(session: Session, project_id: str, reviewer: str) -> ClaimRow | None:
    """What somebody has before them."""
    return session.scalar(
        select(ClaimRow).where(ClaimRow.project_id == project_id, ClaimRow.reviewer == reviewer)
    )


def drop_claims(session: Session, project_id: str, reviewer: str) -> None:
    """Let go of what somebody has before them."""
    session.execute(
        delete(ClaimRow).where(ClaimRow.project_id == project_id, ClaimRow.reviewer == reviewer)
    )


def drop_claim(session: Session, token: str) -> None:
    """Let go of what a page shows."""
    session.execute(delete(ClaimRow).where(ClaimRow.token == token))


def open_to(query: Select[str], reviewer: str, now_ms: int) -> Select[str]:
    """Of samples, those that nobody has before them and that this reviewer has not left."""
    held = exists().where(ClaimRow.sample_id == SampleRow.id, ClaimRow.until_ms > now_ms)
    left = exists().where(
        SkipRow.sample_id == SampleRow.id,
        SkipRow.reviewer == reviewer,
        SkipRow.until_ms > now_ms,
    )
    return query.where(~held, ~left)


def num_hidden(reviewer: str) -> ColumnElement[int]:
    """How many samples `open_to` leaves out at most."""
    claims = select(func.count()).select_from(ClaimRow)
    skips = select(func.count()).select_from(SkipRow).where(SkipRow.reviewer == reviewer)
    return claims.scalar_subquery() + skips.scalar_subquery()


def opinion_of(session: Session, sample_id: str) -> OpinionRow | None:
    """The second opinion on a sample."""
    return session.scalar(select(OpinionRow).where(OpinionRow.sample_id == sample_id))


def last_opinion_by(session: Session, project_id: str, reviewer: str) -> OpinionRow | None:
    """The newest second opinion that somebody gave."""
    query = select(OpinionRow).where(
        OpinionRow.project_id == project_id, OpinionRow.reviewer == reviewer
    )
    return session.scalar(query.order_by(OpinionRow.given_ms.desc()).limit(1))


def last_verdict_by(session: Session, project_id: str, reviewer: str) -> SampleRow | None:
    """The sample that somebody judged last."""
    query = select(SampleRow).where(
        SampleRow.project_id == project_id, SampleRow.reviewer == reviewer
    )
    return session.scalar(query.order_by(SampleRow.reviewed_ms.desc()).limit(1))
