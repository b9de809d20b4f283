"""What the database knows before an addition, and what it is told at the end of one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.ids import new_id
from dizuo.datasets import store
from dizuo.datasets.errors import DatasetConflict
from dizuo.datasets.model import Addition, DatasetVersion, Draft
from dizuo.datasets.rejects import read_rejects
from dizuo.datasets.staging import NUM_REJECTS_SHOWN
from dizuo.datasets.writing import TablePlace


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two datasets of an addition: where it lies, its newest version, all its tags."""

    place: TablePlace
    latest: DatasetVersion | None
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What is there before an addition. `done` is what an earlier one of the same origin made."""

    own: Half
    test: Half
    share: float
    done: Addition | None


def look(session: Session, draft: Draft, own: TablePlace, test: TablePlace) -> Found:
    """What is there, for a writer that holds the locks of both.

    Raises:
        DatasetConflict: one of the datasets is of another family or lies elsewhere.
    """
    own_row = _owner(session, draft, own)
    test_row = _owner(session, draft, test)
    share = draft.holdout
    if share is None:
        share = own_row.holdout if own_row else 0.0
    return Found(
        own=_half(session, own, own_row),
        test=_half(session, test, test_row),
        share=share,
        done=_done(session, draft, own_row, test_row),
    )


def _owner(session: Session, draft: Draft, place: TablePlace) -> store.DatasetRow | None:
    row = store.dataset(session, draft.project_id, place.name)
    if row is None:
        return None
    if row.family != draft.family:
        raise DatasetConflict(
            f"The dataset {row.name} is of the family {row.family}, not {draft.family}.",
            next_step="Add these rows under another name.",
        )
    if row.uri != str(place.table):
        raise DatasetConflict(
            f"The dataset {row.name} lies at {row.uri}, not at {place.table}.",
            next_step="Restart the hub; it finds its datasets again when its folder was moved.",
        )
    return row


def _half(session: Session, place: TablePlace, row: store.DatasetRow | None) -> Half:
    versions = store.versions(session, row) if row else []
    tags = frozenset(version.tag for version in versions)
    return Half(place, versions[-1] if versions else None, tags)


def _done(
    session: Session,
    draft: Draft,
    own: store.DatasetRow | None,
    test: store.DatasetRow | None,
) -> Addition | None:
    own_made = store.version_by_origin(session, own, draft.origin) if own else None
    test_made = store.version_by_origin(session, test, draft.test_origin) if test else None
    made = [version for version in (own_made, test_made) if version is not None]
    if not made or own is None:
        return None
    version = own_made or store.version(session, own, None)
    assert version is not None  # a dataset row is written with its first version
    return Addition(
        version=version,
        held_out=test_made,
        made=(),
        num_accepted=sum(version.num_added for version in made),
        num_rejected=made[0].num_rejected,
        num_duplicates=made[0].num_duplicates,
        rejects=tuple(read_rejects(made[0], limit=NUM_REJECTS_SHOWN)),
    )


def record(session: Session, draft: Draft, addition: Addition, share: float, actor: str) -> None:
    """Make the new versions exist, each with its audit entry."""
    for version in addition.made:
        row = _ensure_dataset(session, version)
        if version.name == draft.name:
            row.holdout = share
        session.add(store.to_version_row(row.id, version))
        session.flush()
        _audit(session, version, actor)


def _ensure_dataset(session: Session, version: DatasetVersion) -> store.DatasetRow:
    row = store.dataset(session, version.project_id, version.name)
    if row is None:
        row = store.DatasetRow(
            id=new_id(),
            project_id=version.project_id,
            name=version.name,
            family=version.family,
            uri=version.uri,
            holdout=0.0,
            created_ms=version.created_ms,
        )
        session.add(row)
        session.flush()
    return row


def _audit(session: Session, version: DatasetVersion, actor: str) -> None:
    detail = {
        "digest": version.digest,
        "origin": version.origin,
        "mode": version.mode.value,
        "num_rows": version.num_rows,
        "num_added": version.num_added,
        "num_removed": version.num_removed,
        "num_rejected": version.num_rejected,
    }
    subject = f"dataset:{version.pin.ref}"
    project = version.project_id
    audit.record(session, actor, "dataset.version_added", subject, detail, project_id=project)
