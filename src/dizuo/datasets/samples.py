"""Samples returned from sites: taking them in, finding them, and their state machine.

A sample's content is a file named by its digest, written before the row that makes the sample
exist; the row holds what the queue is sorted and filtered by.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json
from dizuo.core.files import write_atomic
from dizuo.core.ids import new_id
from dizuo.core.transitions import Rule, StateMachine
from dizuo.database.engine import Database
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.database.values import known_values
from dizuo.datasets import store
from dizuo.datasets.content import from_wire, normalise
from dizuo.datasets.errors import RowRefused, SampleDamaged, SampleMissing
from dizuo.datasets.model import Sample
from dizuo.datasets.store import SampleRow
from dizuo.edge import wire
from dizuo.families.registry import family_packages

MACHINE = StateMachine(
    thing="sample",
    initial="returned",
    rules=(
        Rule("review", ("returned",), "reviewed"),
        Rule("reject", ("returned",), "unusable"),
        Rule("correct", ("reviewed", "unusable"), "reviewed"),
        Rule("discard", ("reviewed",), "unusable"),
        Rule("undo", ("reviewed", "unusable"), "returned"),
        Rule("use", ("reviewed",), "used"),
    ),
)
MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """Which samples; empty fields let all through."""

    site: str = ""
    state: str = ""
    reason: str = ""
    served_as: str = ""
    family: str = ""
    project_id: str = DEFAULT_PROJECT


def receive(
    database: Database,
    home: Path,
    site: str,
    samples: Sequence[wire.Sample],
    *,
    project_id: str = DEFAULT_PROJECT,
) -> wire.SampleReceipt:
    """Take in what a site returned. Sending a sample again is harmless.

    Opens its own transaction; call it outside of one.

    Args:
        database: where the rows go.
        home: the hub's folder; contents go below `samples/`.
        site: the name of the site that sent them.
        samples: what it sent.
        project_id: the site's project.
    """
    accepted, refused = [], []
    for sample in samples:
        reason = _why_not(sample)
        if reason:
            refused.append(wire.RefusedSample(digest=sample.digest, reason=reason))
        else:
            accepted.append(sample)
    with database.reading() as session:
        known = store.known_samples(session, project_id, [s.digest for s in accepted])
    fresh = [sample for sample in accepted if sample.digest not in known]
    for sample in fresh:
        write_atomic(content_path(home, sample.digest), canonical_json(_content(sample)))
    if fresh:
        with database.transaction() as session:
            _record(session, site, fresh, project_id)
    digests = tuple(sample.digest for sample in accepted)
    return wire.SampleReceipt(accepted=digests, refused=tuple(refused))


def _content(sample: wire.Sample) -> dict[str, Any]:
    return sample.model_dump(mode="json")


def _why_not(sample: wire.Sample) -> str:
    try:
        # Serialising a body turns a NaN into null without a word, so its parts are looked at first.
        canonical_json([sample.row, sample.answer])
        size = len(canonical_json(_content(sample)))
        if sample.digest != wire.sample_digest(sample.row, sample.stack_digest):
            return "its digest is not that of its content"
        normalise(from_wire(sample.row))
    except RowRefused as error:
        return error.message
    except (ValueError, TypeError, RecursionError):
        return "it is not valid JSON"
    if size > wire.MAX_SAMPLE_BYTES:
        return f"it has {size:,} bytes; at most {wire.MAX_SAMPLE_BYTES:,} are accepted"
    if sample.family not in family_packages():
        return f"the hub has no family {sample.family}"
    return ""


def _record(session: Session, site: str, samples: Sequence[wire.Sample], project_id: str) -> None:
    received = now_ms()
    taken = [s for s in samples if store.add_sample(session, _row(s, site, project_id, received))]
    if taken:
        detail = {"samples": [sample.digest for sample in taken]}
        audit.record(
            session,
            f"site:{site}",
            "samples.returned",
            f"site:{site}",
            detail,
            project_id=project_id,
        )


def _row(sample: wire.Sample, site: str, project_id: str, received_ms: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "project_id": project_id,
        "digest": sample.digest,
        "site": site,
        "family": sample.family,
        "served_as": sample.served_as,
        "stack_digest": sample.stack_digest,
        "answer": sample.answer,
        "confidence": sample.confidence,
        "reason": sample.reason,
        "taken_ms": sample.taken_ms,
        "received_ms": received_ms,
        "state": MACHINE.initial,
        "label": None,
        "changed": None,
        "reviewer": "",
        "reviewed_ms": None,
        "dataset_version_id": None,
    }


def content_path(home: Path, digest: str) -> Path:
    """Where a sample's content lies."""
    name = digest.removeprefix("sha256:")
    return home / "samples" / name[:2] / f"{name}.json"


def read_row(home: Path, digest: str) -> dict[str, Any]:
    """The input columns of a sample, as the site sent them, bytes as bytes.

    Raises:
        SampleDamaged: the file is gone or is not what was sent.
    """
    try:
        data = content_path(home, digest).read_bytes()
        sample = wire.Sample.model_validate_json(data)
        intact = wire.sample_digest(sample.row, sample.stack_digest) == digest
    except (OSError, ValidationError, ValueError):
        intact = False
    if not intact:
        raise SampleDamaged(
            f"The content of the sample {digest} is missing or damaged.",
            next_step="Restore the samples folder from a backup, or mark the sample as unusable.",
        )
    return from_wire(sample.row)


def find(session: Session, key: str, project_id: str = DEFAULT_PROJECT) -> Sample:
    """The sample with this id or digest (its 64 hex digits alone will do).

    Raises:
        SampleMissing: there is none.
    """
    return store.to_sample(find_row(session, key, project_id))


def find_row(
    session: Session, key: str, project_id: str = DEFAULT_PROJECT, *, lock: bool = False
) -> SampleRow:
    """Like `find`, but the row itself; with `lock` no other transaction changes it meanwhile."""
    digest = key if key.startswith("sha256:") else f"sha256:{key}"
    query = select(SampleRow).where(
        SampleRow.project_id == project_id,
        (SampleRow.id == key) | (SampleRow.digest == digest),
    )
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise SampleMissing(
            f"There is no sample {key[:80]!r}.", next_step="See `dizuo review ls` for the queue."
        )
    return row


def queue(
    session: Session, wanted: SampleFilter, *, limit: int = 100, offset: int = 0
) -> list[Sample]:
    """Samples, the most informative first: those the model was unsure of or found new before those
    taken at random, and each of the two in the order of their digests.

    However far a reviewer gets, what was labelled is then a fair draw of what was unsure or new.
    The least confident first would be a poor sample of it; see docs/decisions/0304.
    """
    order = in_order()
    found = _select(wanted, SampleRow.digest).order_by(*order)
    page = (
        found.limit(min(limit, MAX_LISTED)).offset(offset).subquery()
    )  # read from the index alone
    query = select(SampleRow).join(page, SampleRow.digest == page.c.digest)
    rows = session.scalars(query.where(SampleRow.project_id == wanted.project_id).order_by(*order))
    return [store.to_sample(row) for row in rows]


def in_order() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What the queue is sorted by: what was taken at random comes last."""
    return case((SampleRow.reason == "control", 1), else_=0), SampleRow.digest.expression


def select_all(session: Session, wanted: SampleFilter) -> list[Sample]:
    """Every sample that the filter lets through, in the order of their digests."""
    rows = session.scalars(_select(wanted, SampleRow).order_by(SampleRow.digest))
    return [store.to_sample(row) for row in rows]


def used_in(session: Session, dataset_version_id: str) -> list[Sample]:
    """The samples that entered with this dataset version, in the order of their digests."""
    query = select(SampleRow).where(SampleRow.dataset_version_id == dataset_version_id)
    return [store.to_sample(row) for row in session.scalars(query.order_by(SampleRow.digest))]


def num_used_in(session: Session, dataset_version_ids: Collection[str]) -> dict[str, int]:
    """How many samples entered with each of these dataset versions; those with none are left
    out."""
    query = select(SampleRow.dataset_version_id, func.count())
    query = query.where(SampleRow.dataset_version_id.in_(dataset_version_ids))
    rows = session.execute(query.group_by(SampleRow.dataset_version_id))
    return {version_id: number for version_id, number in rows if version_id is not None}


def count(session: Session, wanted: SampleFilter) -> dict[str, int]:
    """How many samples the filter lets through, by state."""
    query = _select(wanted, SampleRow.state, func.count()).group_by(SampleRow.state)
    return dict(iter(session.execute(query)))


def count_by_name(
    session: Session, names: Collection[str], *, project_id: str = DEFAULT_PROJECT
) -> dict[str, dict[str, int]]:
    """How many samples of what is served under each of these names there are, by state."""
    query = _select(SampleFilter(project_id=project_id), SampleRow.served_as, SampleRow.state)
    query = query.add_columns(func.count()).where(SampleRow.served_as.in_(names))
    query = query.group_by(SampleRow.served_as, SampleRow.state)
    found: dict[str, dict[str, int]] = {}
    for name, state, number in session.execute(query):
        found.setdefault(name, {})[state] = number
    return found


@dataclass(frozen=True, slots=True)
class Tally:
    """Samples that were taken for one reason: how many wait, how many have a label, and how many
    of those have another than the model's answer."""

    reason: str
    num_waiting: int
    num_reviewed: int
    num_changed: int


def tallies(session: Session, wanted: SampleFilter) -> list[Tally]:
    """What became of the samples that the filter lets through, by reason; its state says nothing
    here."""
    whole = replace(wanted, state="")
    waiting = func.sum(case((SampleRow.state == MACHINE.initial, 1), else_=0))
    reviewed = func.count(SampleRow.changed)
    changed = func.sum(case((SampleRow.changed.is_(True), 1), else_=0))
    query = _select(whole, SampleRow.reason, waiting, reviewed, changed)
    rows = session.execute(query.group_by(SampleRow.reason).order_by(SampleRow.reason))
    return [Tally(reason, int(wait), int(seen), int(new)) for reason, wait, seen, new in rows]


def known(
    session: Session, column: Literal["site", "served_as", "reason"], project_id: str, limit: int
) -> list[str]:
    """The first `limit` values that samples of a project have in a column, sorted."""
    own = SampleRow.project_id == project_id
    if column != "reason":
        return known_values(session, getattr(SampleRow, column), own, limit=limit)
    # The queue's index has a reason after each state, and there are few of either.
    found = (
        known_values(session, SampleRow.reason, own, SampleRow.state == state, limit=limit)
        for state in MACHINE.states
    )
    return sorted(set(chain.from_iterable(found)))[:limit]


def _select(wanted: SampleFilter, *columns: Any) -> Select[Any]:
    return narrowed(select(*columns), wanted)


def narrowed(query: Select[Any], wanted: SampleFilter) -> Select[Any]:
    """A query about samples, with only those that the filter lets through."""
    query = query.where(SampleRow.project_id == wanted.project_id)
    for column, value in (
        (SampleRow.site, wanted.site),
        (SampleRow.state, wanted.state),
        (SampleRow.reason, wanted.reason),
        (SampleRow.served_as, wanted.served_as),
        (SampleRow.family, wanted.family),
    ):
        if value:
            query = query.where(column == value)
    return query
