"""Adding a version: check rows, place them, write tables, and last the database row.

The work runs outside any transaction, under the dataset's file lock; one short transaction at the
end makes the versions exist, with their audit entries and whatever the caller settles with them.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import IntegrityError as RowExists
from sqlalchemy.orm import Session

from dizuo.core.clock import now_ms
from dizuo.core.errors import InvalidInput
from dizuo.core.ids import new_id
from dizuo.core.progress import Progress, Reporter, silent
from dizuo.database.engine import Database
from dizuo.datasets import recording
from dizuo.datasets.errors import DatasetConflict, DatasetUnwritable, SourceRefused
from dizuo.datasets.importing.base import Format, read_source, while_wanted
from dizuo.datasets.model import (
    Addition,
    Candidate,
    DatasetPin,
    DatasetVersion,
    Draft,
    Mode,
    Reject,
)
from dizuo.datasets.names import require_name
from dizuo.datasets.placing import Bases, Placement, place
from dizuo.datasets.recording import Found, Half
from dizuo.datasets.rejects import keep_rejects
from dizuo.datasets.split import BETWEEN, Side
from dizuo.datasets.staging import RejectLog, Stage
from dizuo.datasets.table import open_version
from dizuo.datasets.writing import (
    TableChange,
    TablePlace,
    locked,
    open_staging,
    remove_orphans,
    write_version,
)
from dizuo.families import registry
from dizuo.families.base import Spec


@dataclass(frozen=True, slots=True)
class Warehouse:
    """Where datasets live: the database that names them and the folder that holds their tables."""

    database: Database
    root: Path

    def place(self, project: str, name: str) -> TablePlace:
        """Where one dataset's files lie."""
        return TablePlace(self.root.resolve(), project, name)


Settle = Callable[[Session, Addition, Placement], None]
"""Runs in the transaction that makes the versions exist, so that both happen or neither."""


def settle_nothing(_session: Session, _addition: Addition, _placement: Placement) -> None:
    """For additions with which nothing else must commit."""


@dataclass(frozen=True, slots=True)
class _Work:
    warehouse: Warehouse
    draft: Draft
    spec: Spec
    actor: str
    report: Reporter
    settle: Settle


def add_version(
    warehouse: Warehouse,
    draft: Draft,
    records: Iterable[Candidate | Reject],
    actor: str,
    *,
    report: Reporter = silent,
    settle: Settle = settle_nothing,
) -> Addition:
    """Add rows to a dataset, and its held-out rows to its test, as new versions.

    Adding again under the same `draft.origin` changes nothing and returns what the first time
    made; so does adding rows that are all there already. Waits a while for another writer of the
    dataset. A kill at any moment leaves either all of it or nothing.

    Args:
        warehouse: where to.
        draft: what is asked.
        records: the rows; rejects among them are counted and kept.
        actor: who asks, for the audit log.
        report: hears of stages `read`, `split`, `write`, `tag`, `record` and `tidy`.
        settle: runs in the last transaction. It does not run again for an origin that is there.

    Raises:
        SourceRefused: no row can be used, or none is left to train on.
        DatasetBusy: another writer held the dataset for longer than this one waits.
        DatasetConflict: the dataset is of another family, or has other columns.
        DatasetDamaged: the version before cannot be read.
        DatasetUnwritable: the disk is full, or the folder cannot be written.
        InvalidInput: the name or the share cannot be.
        UnknownFamily: no installed package offers the family.
    """
    _check_draft(draft)
    work = _Work(warehouse, draft, registry.spec(draft.family), actor, report, settle)
    own = warehouse.place(draft.project_id, draft.name)
    test = warehouse.place(draft.project_id, draft.test_name)
    with locked((own, test)):
        with warehouse.database.reading() as session:
            found = recording.look(session, draft, own, test)
        if found.done is not None:
            return found.done
        try:
            return _add(work, found, records)
        except OSError as error:
            # Lance puts the line of its own source after the reason.
            why = error.strerror or str(error).partition(", /")[0]
            raise DatasetUnwritable(
                f"The dataset {draft.name} cannot be written: {why}.",
                next_step="See that the disk is not full and the hub's folder can be written.",
            ) from error


def _check_draft(draft: Draft) -> None:
    require_name(draft.name)
    require_name(draft.test_name)
    if draft.holdout is not None and not 0 <= draft.holdout < 1:
        raise InvalidInput(
            f"A share of {draft.holdout} cannot be held out.",
            next_step="Give a number from 0 up to, but not including, 1.",
        )


def _add(work: _Work, found: Found, records: Iterable[Candidate | Reject]) -> Addition:
    staging = found.own.place.staging
    left_over = open_staging(found.own.place)
    try:
        placement, rejects = _stage(work, found, records)
    except BaseException:
        if not left_over:  # else the mark of the killed writer must stay for the next one
            shutil.rmtree(staging)
        raise
    own = _write(work, found.own, placement, Side.TRAIN)
    test = _write(work, found.test, placement, Side.TEST) if found.share else None
    addition = _addition(found, own, test, placement, rejects)
    addition = _keep_rejects(work, addition, rejects)
    work.report(Progress("record", message=work.draft.name))
    _record(work, found, addition, placement)
    work.report(Progress("tidy", message=work.draft.name))
    if left_over:
        for half in (found.own, found.test):
            remove_orphans(half.place)
    shutil.rmtree(staging)
    return addition


def _stage(
    work: _Work, found: Found, records: Iterable[Candidate | Reject]
) -> tuple[Placement, RejectLog]:
    draft = work.draft
    bases = Bases.of(draft.mode, _pin(found.own), _pin(found.test), found.share)
    stage = Stage(
        found.own.place.staging,
        work.spec,
        open_version(bases.train).schema if bases.train else None,
        with_fingerprints=found.share > 0,
        source_name=draft.source_name,
    )
    with stage:
        stage.take_all(records, work.report)
        staged = stage.finish()
        if staged is None:
            raise _nothing_usable(draft, stage.rejects)
        work.report(Progress("split", total=len(staged.places), unit="row"))
        placement = place(staged, bases, work.spec)
        _check_fit(placement, bases.test)
        for where, side in zip(staged.places, placement.sides, strict=True):
            if side is Side.BETWEEN:
                stage.rejects.add(Reject(where, BETWEEN))
    if placement.change(Side.TRAIN).num_rows == 0:
        raise SourceRefused(
            "Every row that can be used is held out, so none is left to train on.",
            next_step="Add more rows, or hold out a smaller share.",
        )
    return placement, stage.rejects


def _check_fit(placement: Placement, test: DatasetPin | None) -> None:
    """Find held-out rows that do not fit their dataset now: once Lance asks for them, an error
    would reach us without its kind."""
    schema = open_version(test).schema if test else placement.staged.schema
    if not schema.equals(placement.staged.schema):
        batches = placement.staged.batches(lambda i: placement.sides[i] is Side.TEST, schema)
        deque(batches, maxlen=0)


def _pin(half: Half) -> DatasetPin | None:
    return half.latest.pin if half.latest else None


def _nothing_usable(draft: Draft, rejects: RejectLog) -> SourceRefused:
    source = draft.source_name or "the source"
    if not rejects.count:
        return SourceRefused(
            f"There are no rows in {source}.", next_step="Check that it is the right file."
        )
    first = rejects.first[0]
    return SourceRefused(
        f"None of the {rejects.count} rows of {source} can be used; the first, at {first.place}: "
        f"{first.reason}.",
        next_step="Correct the rows and import again; nothing was changed.",
    )


def _write(work: _Work, half: Half, placement: Placement, side: Side) -> DatasetVersion | None:
    """The dataset's version after the addition: a new one, or the newest if nothing changes."""
    change = placement.change(side)
    latest = half.latest
    if change.digest == (latest.digest if latest else None) or (not latest and not change.num_rows):
        return latest
    base = latest.pin if latest and work.draft.mode is Mode.APPEND else None
    schema = open_version(base).schema if base else placement.staged.schema
    table = TableChange(
        place=half.place,
        version=latest.version + 1 if latest else 1,
        digest=change.digest,
        schema=schema,
        batches=placement.staged.batches(lambda index: placement.sides[index] is side, schema),
        base=base,
        removed=change.removed,
    )
    tag = write_version(table, half.tags, work.report)
    return DatasetVersion(
        id=new_id(),
        project_id=work.draft.project_id,
        name=half.place.name,
        family=work.draft.family,
        version=table.version,
        digest=change.digest,
        num_rows=change.num_rows,
        uri=str(half.place.table),
        tag=tag,
        origin=work.draft.origin if side is Side.TRAIN else work.draft.test_origin,
        mode=work.draft.mode,
        parent_version=base.version if base else None,
        num_added=len(change.added),
        num_removed=len(change.removed) if base or not latest else latest.num_rows,
        num_rejected=0,
        num_duplicates=0,
        created_ms=now_ms(),
    )


def _addition(
    found: Found,
    own: DatasetVersion | None,
    test: DatasetVersion | None,
    placement: Placement,
    rejects: RejectLog,
) -> Addition:
    assert own is not None  # an addition that leaves no training row was refused
    old = (found.own.latest, found.test.latest)
    return Addition(
        version=own,
        held_out=test,
        made=tuple(v for v in (own, test) if v is not None and v not in old),
        num_accepted=placement.count(Side.TRAIN, Side.TEST),
        num_rejected=rejects.count,
        num_duplicates=placement.staged.num_duplicates + placement.count(Side.DUPLICATE),
        rejects=tuple(rejects.first),
    )


def _keep_rejects(work: _Work, addition: Addition, rejects: RejectLog) -> Addition:
    """The counts and the log of what was refused belong to the first version that was made."""
    if not addition.made:
        return addition
    first = replace(
        addition.made[0],
        num_rejected=addition.num_rejected,
        num_duplicates=addition.num_duplicates,
    )
    place = work.warehouse.place(first.project_id, first.name)
    keep_rejects(rejects.path, place, first.version)
    made = (first, *addition.made[1:])
    if addition.version.id == first.id:
        return replace(addition, version=first, made=made)
    return replace(addition, held_out=first, made=made)


def _record(work: _Work, found: Found, addition: Addition, placement: Placement) -> None:
    try:
        with work.warehouse.database.transaction() as session:
            recording.record(session, work.draft, addition, found.share, work.actor)
            work.settle(session, addition, placement)
    except RowExists as error:
        raise DatasetConflict(
            f"Another hub added a version of {work.draft.name} at the same time.",
            next_step="Try again; what you sent was not taken.",
        ) from error


def import_file(
    warehouse: Warehouse,
    draft: Draft,
    source: Path,
    form: Format,
    actor: str,
    *,
    report: Reporter = silent,
    wanted: Callable[[], bool] = lambda: True,
) -> Addition:
    """Add the rows of a file or folder; see `add_version`.

    Args:
        warehouse: where to.
        draft: what is asked.
        source: the file or folder.
        form: its format.
        actor: who asks, for the audit log.
        report: as in `add_version`.
        wanted: asked before each row that is read, whether to go on.

    Raises:
        SourceRefused: also when the file is not of this format.
        ImportStopped: it was no longer wanted.
    """
    columns = registry.spec(draft.family).COLUMNS
    scratch = warehouse.place(draft.project_id, draft.name).staging / "unpacked"
    records = read_source(source, form, columns, scratch)
    return add_version(warehouse, draft, while_wanted(records, wanted), actor, report=report)
