"""An import without its end: what would come of it, told before anything is added."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dizuo.core.progress import Progress, Reporter, silent
from dizuo.datasets import recording
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.columns import from_batch, kinds_of
from dizuo.datasets.importing.base import Format, read_source, while_wanted
from dizuo.datasets.model import Draft, Reject, StoredRow
from dizuo.datasets.nearness import fingerprints, num_near_earlier
from dizuo.datasets.placing import Bases, Placement, place
from dizuo.datasets.recording import Found
from dizuo.datasets.rejects import iterate_rejects
from dizuo.datasets.split import BETWEEN, Side
from dizuo.datasets.staging import Stage, Staged
from dizuo.datasets.table import open_version
from dizuo.families import registry
from dizuo.families.base import Spec

NUM_ROWS_SHOWN = 12
NUM_REASONS = 20
MAX_COMPARED = 2000
"""Near duplicates within a file are told up to this number of rows; each is held against all."""
KEEP_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What an import would do.

    `kinds` are the columns of the table with their kinds, `rows` the first rows that can be used,
    `reasons` how often each reason would refuse a row, most frequent first. `num_near` counts rows
    that nearly repeat an earlier one of the file, None where there are too many to compare.
    """

    num_read: int
    num_added: int
    num_held_out: int
    num_duplicates: int
    num_rejected: int
    num_near: int | None
    kinds: tuple[tuple[str, str], ...]
    rows: tuple[StoredRow, ...]
    rejects: tuple[Reject, ...]
    reasons: tuple[tuple[str, int], ...]

    @property
    def is_possible(self) -> bool:
        """Whether anything is left to train on."""
        return self.num_added + self.num_duplicates > 0


def folder_of(home: Path) -> Path:
    """Where files are unpacked to be looked at."""
    return home / "rehearsals"


def rehearse(
    warehouse: Warehouse,
    draft: Draft,
    source: Path,
    form: Format,
    scratch: Path,
    *,
    report: Reporter = silent,
    wanted: Callable[[], bool] = lambda: True,
) -> Rehearsal:
    """Read, check and place every row of a source as `import_file` would, and change nothing.

    Args:
        warehouse: where the rows would go.
        draft: what would be asked.
        source: the file or folder.
        form: its format.
        scratch: a folder for what is unpacked meanwhile.
        report: hears of stages `read` and `split`.
        wanted: asked before each row, whether to go on.

    Raises:
        SourceRefused: the file is not of this format.
        DatasetConflict: the dataset is of another family.
        DatasetDamaged: the version before cannot be read.
        UnknownFamily: no installed package offers the family.
        ImportStopped: it was no longer wanted.
    """
    spec = registry.spec(draft.family)
    own = warehouse.place(draft.project_id, draft.name)
    test = warehouse.place(draft.project_id, draft.test_name)
    with warehouse.database.reading() as session:
        found = recording.look(session, draft, own, test)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        records = read_source(source, form, spec.COLUMNS, folder / "unpacked")
        stage = _stage(draft, found, spec, folder)
        with stage:
            stage.take_all(while_wanted(records, wanted), report)
            staged = stage.finish()
        report(Progress("split", total=len(staged.places) if staged else 0, unit="row"))
        placement = place(staged, _bases(draft, found), spec) if staged else None
        return _told(stage, placement, spec)


def _bases(draft: Draft, found: Found) -> Bases:
    train, test = (half.latest.pin if half.latest else None for half in (found.own, found.test))
    return Bases.of(draft.mode, train, test, found.share)


def _stage(draft: Draft, found: Found, spec: Spec, folder: Path) -> Stage:
    base = _bases(draft, found).train
    return Stage(
        folder,
        spec,
        open_version(base).schema if base else None,
        with_fingerprints=found.share > 0,
        source_name=draft.source_name,
    )


def _told(stage: Stage, placement: Placement | None, spec: Spec) -> Rehearsal:
    reasons = Counter(reject.reason for reject in iterate_rejects(stage.rejects.path))
    between = placement.count(Side.BETWEEN) if placement else 0
    if between:
        reasons[BETWEEN] += between
    staged = placement.staged if placement else None
    duplicates = staged.num_duplicates if staged else 0
    num_read = stage.rejects.count + duplicates + (len(staged.places) if staged else 0)
    return Rehearsal(
        num_read=num_read,
        num_added=placement.count(Side.TRAIN) if placement else 0,
        num_held_out=placement.count(Side.TEST) if placement else 0,
        num_duplicates=duplicates + (placement.count(Side.DUPLICATE) if placement else 0),
        num_rejected=stage.rejects.count + between,
        num_near=_num_near(staged, spec) if staged else 0,
        kinds=tuple(kinds_of(staged.schema).items()) if staged else (),
        rows=tuple(islice(_rows(staged), NUM_ROWS_SHOWN)) if staged else (),
        rejects=tuple(stage.rejects.first),
        reasons=tuple(reasons.most_common(NUM_REASONS)),
    )


def _rows(staged: Staged) -> Iterator[StoredRow]:
    for batch in staged.batches(lambda _index: True, staged.schema):
        yield from from_batch(batch)


def _num_near(staged: Staged, spec: Spec) -> int | None:
    if len(staged.places) > MAX_COMPARED:
        return None
    vectors = staged.fingerprints
    if vectors is None:
        vectors = fingerprints(spec, _rows(staged))
    return num_near_earlier(vectors, spec.NEAR_DUPLICATE_SIMILARITY)


def sweep(home: Path, now_ms: int, *, keep_ms: int = KEEP_MS) -> int:
    """Remove what a killed hub has left of files it looked at. Returns how many there were."""
    folder = folder_of(home)
    if not folder.is_dir():
        return 0
    deadline_ns = (now_ms - keep_ms) * 1_000_000
    old = [path for path in folder.iterdir() if path.stat().st_mtime_ns < deadline_ns]
    for path in old:
        shutil.rmtree(path)
    return len(old)
