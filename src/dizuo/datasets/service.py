"""Datasets as the rest of the hub asks for them: look up, pin, compare, add a version."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets import store
from dizuo.datasets.adding import Warehouse, add_version, import_file
from dizuo.datasets.diffing import diff, overlaps
from dizuo.datasets.errors import DatasetMissing
from dizuo.datasets.model import TEST_SUFFIX, DatasetPin, DatasetSummary, DatasetVersion
from dizuo.datasets.names import DatasetRef, parse_ref, require_name
from dizuo.datasets.rejects import read_rejects
from dizuo.datasets.writing import TablePlace
from dizuo.families import registry

__all__ = [
    "Warehouse",
    "add_version",
    "choose_family",
    "diff",
    "find",
    "history",
    "import_file",
    "listing",
    "newest",
    "overlaps",
    "pin",
    "read_rejects",
    "relocate",
    "root_of",
    "search",
    "show",
    "version_by_id",
    "versions",
    "with_held_out",
]


def root_of(home: Path) -> Path:
    """Where a hub keeps its tables."""
    return home / "datasets"


def listing(session: Session, project_id: str = DEFAULT_PROJECT) -> list[DatasetSummary]:
    """Every dataset of a project, by name."""
    return [_summary(session, row) for row in store.datasets(session, project_id)]


def search(
    session: Session,
    text: str = "",
    *,
    offset: int = 0,
    limit: int = 50,
    project_id: str = DEFAULT_PROJECT,
) -> tuple[list[DatasetSummary], int]:
    """Some of the datasets that have `text` in their name, by name, and how many have."""
    found = store.some_datasets(session, project_id, text, offset, limit)
    summaries = [
        _summary_of(owner, store.to_version(owner, row), count) for owner, row, count in found
    ]
    return summaries, store.num_datasets(session, project_id, text)


def with_held_out(
    session: Session, names: Collection[str], project_id: str = DEFAULT_PROJECT
) -> set[str]:
    """Which of these datasets have held-out rows, in the dataset of that name and TEST_SUFFIX."""
    tests = {name + TEST_SUFFIX: name for name in names}
    return {tests[known] for known in store.known_names(session, project_id, tests)}


def history(
    session: Session,
    name: str,
    *,
    offset: int = 0,
    limit: int = 50,
    project_id: str = DEFAULT_PROJECT,
) -> list[DatasetVersion]:
    """Some versions of a dataset, newest first.

    Raises:
        DatasetMissing: there is no dataset of that name.
    """
    return store.newest_versions(session, _owner(session, project_id, name), offset, limit)


def show(session: Session, name: str, project_id: str = DEFAULT_PROJECT) -> DatasetSummary:
    """One dataset.

    Raises:
        DatasetMissing: there is none of that name.
    """
    return _summary(session, _owner(session, project_id, name))


def versions(
    session: Session, name: str, project_id: str = DEFAULT_PROJECT
) -> list[DatasetVersion]:
    """Every version of a dataset, oldest first.

    Raises:
        DatasetMissing: there is no dataset of that name.
    """
    return store.versions(session, _owner(session, project_id, name))


def find(session: Session, ref: DatasetRef) -> DatasetVersion:
    """The version that a reference names.

    Raises:
        DatasetMissing: there is no such dataset or version; says which versions there are.
    """
    owner = _owner(session, ref.project, ref.name)
    found = store.version(session, owner, ref.version)
    if found is None:
        newest = store.version(session, owner, None)
        raise DatasetMissing(
            f"The dataset {ref.name} has no version {ref.version}.",
            next_step=f"Its newest is {newest.pin.ref}." if newest else "",
        )
    return found


def newest_refs(
    session: Session, family: str, *, limit: int, project_id: str = DEFAULT_PROJECT
) -> list[str]:
    """`name@version` of a family's newest dataset versions, newest first: what to choose from."""
    return store.newest_refs(session, project_id, family, limit)


def relocate(session: Session, root: Path, actor: str, project_id: str = DEFAULT_PROJECT) -> int:
    """After the hub's folder was moved: let every dataset whose table now lies below `root` be
    read from there. Returns how many were."""
    moved = 0
    for owner in store.datasets(session, project_id):
        table = TablePlace(root.resolve(), project_id, owner.name).table
        if owner.uri != str(table) and table.is_dir():
            detail = {"before": owner.uri, "after": str(table)}
            owner.uri = str(table)
            subject = f"dataset:{owner.name}"
            audit.record(
                session, actor, "dataset.relocated", subject, detail, project_id=project_id
            )
            moved += 1
    return moved


def newest(session: Session, name: str, project_id: str = DEFAULT_PROJECT) -> int:
    """The number of the newest version of a dataset, 0 if there is no such dataset."""
    owner = store.dataset(session, project_id, name)
    found = store.version(session, owner, None) if owner else None
    return found.version if found else 0


def choose_family(
    session: Session, asked: str, name: str, project_id: str = DEFAULT_PROJECT
) -> str:
    """The family that was asked for, or else the dataset's own.

    Raises:
        InvalidInput: the name cannot be.
        FamilyMissing: none was asked for, and there is no such dataset yet.
    """
    owner = store.dataset(session, project_id, require_name(name))
    return registry.choose(asked, owner.family if owner else None, f"the new dataset {name}")


def pin(
    session: Session, text: str, *, allow_latest: bool = False, project: str = DEFAULT_PROJECT
) -> DatasetPin:
    """The pin of `[project/]name@version`; everything needed to read it without a database.

    Raises:
        PinRefused: the text does not name one version (`latest` needs `allow_latest`).
        DatasetMissing: there is no such dataset or version.
    """
    return find(session, parse_ref(text, allow_latest=allow_latest, project=project)).pin


def version_by_origin(
    session: Session, name: str, origin: str, project_id: str = DEFAULT_PROJECT
) -> DatasetVersion | None:
    """The version that was added to a dataset under this key, if there is one."""
    owner = store.dataset(session, project_id, name)
    return store.version_by_origin(session, owner, origin) if owner else None


def version_by_id(session: Session, version_id: str) -> DatasetVersion:
    """The version with this id.

    Raises:
        DatasetMissing: there is none.
    """
    found = store.version_by_id(session, version_id)
    if found is None:
        raise DatasetMissing(f"There is no dataset version with the id {version_id[:80]}.")
    return found


def _owner(session: Session, project_id: str, name: str) -> store.DatasetRow:
    owner = store.dataset(session, project_id, name)
    if owner is None:
        raise DatasetMissing(
            f"There is no dataset {name[:80]!r}.",
            next_step="See `dizuo data ls` for those there are, or add it with `dizuo data add`.",
        )
    return owner


def _summary(session: Session, owner: store.DatasetRow) -> DatasetSummary:
    latest = store.version(session, owner, None)
    assert latest is not None  # a dataset row is written with its first version
    return _summary_of(owner, latest, store.num_versions(session, owner))


def _summary_of(
    owner: store.DatasetRow, latest: DatasetVersion, num_versions: int
) -> DatasetSummary:
    return DatasetSummary(
        name=owner.name,
        project_id=owner.project_id,
        family=owner.family,
        holdout=owner.holdout,
        num_versions=num_versions,
        latest=latest,
    )
