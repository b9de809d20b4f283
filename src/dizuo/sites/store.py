"""The rows of join tokens, sites, and the sets that sites were directed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import (
    JSON,
    CursorResult,
    RowMapping,
    Select,
    String,
    Table,
    UniqueConstraint,
    case,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from dizuo.database.tables import Id, Millis, Name, ProjectId, Row
from dizuo.edge.wire import DesiredState, SiteError
from dizuo.sites.model import Site, SiteCounts

_Stacks = list[dict[str, Any]]


class JoinTokenRow(Row):
    """A one-time join token; only the hash of its secret is kept.

    A used one names the site it let in; `enrolment_digest` is there if that site can repeat itself.
    """

    __tablename__ = "join_tokens"

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    secret_hash: Mapped[str] = mapped_column(String(71), unique=True)
    actor: Mapped[Name]
    created_ms: Mapped[Millis]
    expires_ms: Mapped[Millis]
    used_ms: Mapped[Millis | None]
    site_id: Mapped[str | None] = mapped_column(String(36))
    enrolment_digest: Mapped[str | None] = mapped_column(String(71))


class SiteRow(Row):
    """A site: what it shall run, what it says it runs, and its last words.

    A check-in reads and writes this one row and, while nothing changes, nothing else.
    """

    __tablename__ = "sites"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    name: Mapped[Name]
    state: Mapped[Name]
    desired_generation: Mapped[int]
    desired_stacks: Mapped[_Stacks] = mapped_column(JSON)
    told_generation: Mapped[int]
    running_generation: Mapped[int]
    running_stacks: Mapped[_Stacks] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    egress_policy: Mapped[Name]
    inference_url: Mapped[str] = mapped_column(String(200))
    agent_version: Mapped[Name]
    bytes_first_install: Mapped[Millis]
    bytes_last_update: Mapped[Millis]
    samples_waiting: Mapped[Millis]
    answers: Mapped[Millis]
    joined_ms: Mapped[Millis]
    last_seen_ms: Mapped[Millis]


class SiteDirectionRow(Row):
    """One generation of a site's desired set, kept for the trace; `cause` says what made it."""

    __tablename__ = "site_directions"
    __table_args__ = (UniqueConstraint("site_id", "generation"),)

    id: Mapped[Id]
    project_id: Mapped[ProjectId]
    site_id: Mapped[str] = mapped_column(String(36))
    generation: Mapped[int]
    stacks: Mapped[_Stacks] = mapped_column(JSON)
    cause: Mapped[Name]
    created_ms: Mapped[Millis]


class SiteHourRow(Row):
    """How many rows a site had answered since it joined, as far as was known in this hour."""

    __tablename__ = "site_hours"

    site_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    hour_ms: Mapped[Millis] = mapped_column(primary_key=True, index=True)
    project_id: Mapped[str] = mapped_column(String(64))
    answers: Mapped[Millis]


_PLAIN = (
    "id",
    "project_id",
    "name",
    "state",
    "told_generation",
    "egress_policy",
    "inference_url",
    "agent_version",
    "bytes_first_install",
    "bytes_last_update",
    "samples_waiting",
    "answers",
    "joined_ms",
    "last_seen_ms",
)


SITES = cast(Table, SiteRow.__table__)
"""Sites are read and changed as plain rows: as mapped objects, which nobody needs here, they would
take a check-in half as long again."""


def _site(row: RowMapping) -> Site:
    return Site(
        **{name: row[name] for name in _PLAIN},
        desired=_desired(row["desired_generation"], row["desired_stacks"]),
        running=_desired(row["running_generation"], row["running_stacks"]),
        error=None if row["error"] is None else SiteError.model_validate(row["error"]),
    )


def _desired(generation: int, stacks: _Stacks) -> DesiredState:
    return DesiredState.model_validate({"generation": generation, "stacks": stacks})


def _columns(changes: dict[str, Any]) -> dict[str, Any]:
    """Fields of `Site` as columns: the two sets and the error are spread out."""
    columns = dict(changes)
    for name in ("desired", "running"):
        if name in columns:
            state = columns.pop(name)
            columns[f"{name}_generation"] = state.generation
            columns[f"{name}_stacks"] = [one.model_dump() for one in state.stacks]
    if columns.get("error") is not None:
        columns["error"] = columns["error"].model_dump()
    return columns


def add_token(session: Session, row: JoinTokenRow) -> None:
    """Write a new join token."""
    session.add(row)
    session.flush()


def token_by_hash(session: Session, secret_hash: str) -> JoinTokenRow | None:
    """The join token with this hash."""
    return session.scalar(select(JoinTokenRow).where(JoinTokenRow.secret_hash == secret_hash))


def use_token(session: Session, token: JoinTokenRow, changes: dict[str, Any]) -> bool:
    """Mark a join token as used. Of several transactions that try, exactly one is told True.
    Either way `token` says afterwards how it is now."""
    query = (
        update(JoinTokenRow)
        .where(JoinTokenRow.id == token.id, JoinTokenRow.used_ms.is_(None))
        .values(**changes)
        .execution_options(synchronize_session=False)
    )
    is_first = cast(CursorResult[Any], session.execute(query)).rowcount == 1
    session.refresh(token)
    return is_first


def add(session: Session, site: Site) -> None:
    """Write a new site."""
    values = {name: getattr(site, name) for name in (*_PLAIN, "desired", "running", "error")}
    session.add(SiteRow(**_columns(values)))
    session.flush()


def change(session: Session, site: Site, changes: dict[str, Any]) -> Site:
    """Change fields of a site, in one statement, and return it as it is then."""
    query = update(SITES).where(SITES.c.id == site.id).values(**_columns(changes))
    session.execute(query)
    return replace(site, **changes)


def sites_of(session: Session, query: Select[Any]) -> list[Site]:
    """The sites that a query on SITES selects, in its order."""
    return [_site(row) for row in session.execute(query).mappings()]


def by_name(
    session: Session, project_id: str, name: str, *, for_update: bool = False
) -> Site | None:
    """The site of this name; `for_update` keeps other writers off it in this transaction."""
    query = select(SITES).where(SITES.c.project_id == project_id, SITES.c.name == name)
    found = session.execute(query.with_for_update() if for_update else query)
    row = found.mappings().one_or_none()
    return _site(row) if row else None


def every(session: Session, project_id: str) -> list[Site]:
    """Every site of a project, by name."""
    query = select(SITES).where(SITES.c.project_id == project_id).order_by(SITES.c.name)
    return sites_of(session, query)


def locked(session: Session, project_id: str, names: Sequence[str] | None) -> list[Site]:
    """Sites of these names (or all) that no other transaction changes until this one ends.

    They are locked in the order of their names, so that two rollouts never wait for each other.
    """
    query = select(SITES).where(SITES.c.project_id == project_id).order_by(SITES.c.name)
    if names is not None:
        query = query.where(SITES.c.name.in_(names))
    return sites_of(session, query.with_for_update())


def remove(session: Session, site_id: str) -> None:
    """Remove a site, the sets it was directed to and its history."""
    for of_site in (SiteDirectionRow, SiteHourRow):
        session.execute(delete(of_site).where(of_site.site_id == site_id))
    session.execute(delete(SiteRow).where(SiteRow.id == site_id))


def add_direction(session: Session, row: SiteDirectionRow) -> None:
    """Keep one generation of a site's desired set."""
    session.add(row)


def directions(
    session: Session, site_id: str, *, before: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The generations a site was directed to, newest first, in JSON form; `before` leaves that
    generation and later ones out."""
    query = select(SiteDirectionRow).where(SiteDirectionRow.site_id == site_id)
    if before is not None:
        query = query.where(SiteDirectionRow.generation < before)
    rows = session.scalars(query.order_by(SiteDirectionRow.generation.desc()).limit(limit))
    return [
        {
            "generation": row.generation,
            "stacks": row.stacks,
            "cause": row.cause,
            "created_ms": row.created_ms,
        }
        for row in rows
    ]


def counts(session: Session, project_id: str, seen_since_ms: int) -> SiteCounts:
    """How many sites of a project there are in each state, and how many were seen since."""
    query = (
        select(
            SiteRow.state,
            func.count(),
            func.sum(case((SiteRow.last_seen_ms >= seen_since_ms, 1), else_=0)),
            func.sum(SiteRow.answers),
        )
        .where(SiteRow.project_id == project_id)
        .group_by(SiteRow.state)
    )
    rows = session.execute(query).all()
    return SiteCounts(
        by_state={state: number for state, number, _, _ in rows},
        num_online=sum(int(online) for _, _, online, _ in rows),
        num_answers=sum(int(answers) for _, _, _, answers in rows),
    )
