"""Writing a dataset version into its Lance table, so that a kill at any moment leaves no half one.

A version exists when its row is in the database, which is written last. Until then everything here
is an orphan that the next writer removes: an untagged Lance version is never read and is cleaned
up, a tag that no version names is deleted. Writers of one dataset take turns by a file lock, which
the kernel releases with the process that held it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import lance
import pyarrow as pa

from dizuo.core.digests import short
from dizuo.core.files import fsync_directory
from dizuo.core.progress import Progress, Reporter
from dizuo.datasets.errors import DatasetBusy, DatasetDamaged
from dizuo.datasets.model import DatasetPin
from dizuo.datasets.table import faults_as_damage

LOCK_SECONDS = 60.0
"""How long a writer waits for its turn: it holds a thread of the hub, and its client waits 120."""
_LOCK_POLL_SECONDS = 0.05
_DIGESTS_PER_DELETE = 500


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Where one dataset's files lie: the table, its lock, its rejects, its staging folder.

    The staging folder exists while a writer works; one that is found by the next writer means that
    the last one was killed.
    """

    root: Path
    project: str
    name: str

    @property
    def table(self) -> Path:
        """The Lance table."""
        return self.root / self.project / f"{self.name}.lance"

    @property
    def staging(self) -> Path:
        """The folder for rows on their way in."""
        return self.root / self.project / f".{self.name}.staging"

    @property
    def lock(self) -> Path:
        """The file that writers lock."""
        return self.root / self.project / f".{self.name}.lock"

    def rejects(self, version: int) -> Path:
        """The rejected rows of one version."""
        return self.root / self.project / f"{self.name}.rejects" / f"{version}.jsonl"


@contextmanager
def locked(places: Iterable[TablePlace]) -> Iterator[None]:
    """Hold the write locks of these datasets; waits a while for whoever holds them now.

    They are taken in the order of their names, so that two writers never wait for each other.

    Raises:
        DatasetBusy: another writer held one of them all that while.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    with ExitStack() as stack:
        for place in sorted(places, key=lambda place: (place.project, place.name)):
            place.lock.parent.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(place.lock.open("ab"))
            while not _try_lock(stream):
                if time.monotonic() > deadline:
                    raise DatasetBusy(
                        f"Another addition to the dataset {place.name} is still being written.",
                        next_step="Try again in a while; what you sent was not taken.",
                    )
                time.sleep(_LOCK_POLL_SECONDS)
        yield


def _try_lock(stream: IO[bytes]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_staging(place: TablePlace) -> bool:
    """Make an empty staging folder; returns whether a killed writer had left one."""
    left = place.staging.exists()
    if left:
        shutil.rmtree(place.staging)
    place.staging.mkdir(parents=True)
    return left


@dataclass(frozen=True, slots=True)
class TableChange:
    """What a new version changes: rows of `base` with these digests go, `batches` come.

    Without a base the table starts anew with `schema`; older versions stay readable by their tags.
    """

    place: TablePlace
    version: int
    digest: str
    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    base: DatasetPin | None
    removed: Collection[str]

    @property
    def tag(self) -> str:
        """The tag of the new version: bound to its content, so that two writers who both believe
        to write version 3 can never give one name to two things."""
        return f"v{self.version}-{short(self.digest)}"


def write_version(change: TableChange, known_tags: Collection[str], report: Reporter) -> str:
    """Write and tag a version; returns the tag. The caller holds the lock.

    Args:
        change: what to write.
        known_tags: the tags of the versions in the database; all others are deleted.
        report: hears of each step.

    Raises:
        DatasetDamaged: the base cannot be read.
        OSError: the disk is full, or the folder cannot be written.
    """
    uri = str(change.place.table)
    before = _files(change.place.table)
    _delete_unknown_tags(uri, change.place.table, known_tags)
    report(Progress("write", message=f"{change.place.name}@{change.version}"))
    dataset = _start_anew(uri, change) if change.base is None else _continue(uri, change)
    report(Progress("tag", message=f"{change.place.name}@{change.version}"))
    dataset.tags.create(change.tag, dataset.version)
    _make_durable(change.place.table, before)
    return change.tag


def _delete_unknown_tags(uri: str, table: Path, known_tags: Collection[str]) -> None:
    tags_folder = table / "_refs" / "tags"
    if not tags_folder.is_dir() or not any(tags_folder.iterdir()):
        return
    tags = lance.dataset(uri).tags
    for tag in set(tags.list()) - set(known_tags):
        tags.delete(tag)


def _reader(change: TableChange) -> Any:
    return pa.RecordBatchReader.from_batches(change.schema, iter(change.batches))


def _start_anew(uri: str, change: TableChange) -> Any:
    mode = "overwrite" if (change.place.table / "_versions").is_dir() else "create"
    return lance.write_dataset(_reader(change), uri, mode=mode)


def _continue(uri: str, change: TableChange) -> Any:
    assert change.base is not None
    with faults_as_damage(change.base):
        dataset = lance.dataset(uri, version=change.base.tag)
        if dataset.latest_version != dataset.version:
            dataset.restore()  # a killed writer's rows are on top, or an older version is the base
        dataset = lance.dataset(uri)
    removed = sorted(change.removed)
    for start in range(0, len(removed), _DIGESTS_PER_DELETE):
        quoted = ", ".join(f"'{digest}'" for digest in removed[start : start + _DIGESTS_PER_DELETE])
        dataset.delete(f"row_digest IN ({quoted})")
    return lance.write_dataset(_reader(change), dataset, mode="append")


def remove_orphans(place: TablePlace) -> None:
    """Remove what no tag keeps. The caller holds the lock, so no writer's file is in flight."""
    if not (place.table / "_versions").is_dir():
        return
    try:
        lance.dataset(str(place.table)).cleanup_old_versions(
            older_than=timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise DatasetDamaged(
            f"The table of {place.name} cannot be cleaned up.",
            next_step="Check the folder's permissions and the disk.",
        ) from error


def _files(table: Path) -> set[Path]:
    return {path for path in table.rglob("*") if path.is_file()}


def _make_durable(table: Path, before: set[Path]) -> None:
    """Lance leaves its files to the page cache; the database row that names them must not reach
    the disk before they do."""
    new = _files(table) - before
    for path in new:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    for folder in {path.parent for path in new} | {table, table.parent}:
        fsync_directory(folder)
