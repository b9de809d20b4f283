"""Review: a person gives a returned sample its label; reviewed samples become a dataset version.

Reviewing is idempotent: the same result again changes nothing. Another result is a conflict unless
the reviewer says that it corrects the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json, sha256_json
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Reporter, silent
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets import recording, samples, store
from dizuo.datasets.adding import Warehouse, add_version
from dizuo.datasets.content import normalise, row_digest
from dizuo.datasets.errors import NothingReviewed, ReviewConflict, RowRefused, SampleDamaged
from dizuo.datasets.model import (
    LABEL_COLUMN,
    REJECTED_COLUMN,
    Addition,
    Candidate,
    Draft,
    Mode,
    Reject,
    Sample,
)
from dizuo.datasets.placing import Placement
from dizuo.datasets.samples import MACHINE, SampleFilter
from dizuo.datasets.split import Side
from dizuo.families import registry
from dizuo.families.base import Spec

SOURCE_PREFIX = "sample:"
"""What the `source` of a row made from a sample starts with; the sample's digest follows."""
_DIGESTS_PER_ENTRY = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reviewer says: a label, or (None) that the sample cannot be used.

    `correct` allows it to replace an earlier verdict.
    """

    label: Any
    correct: bool = False


def judge(
    session: Session,
    home: Path,
    key: str,
    verdict: Verdict,
    actor: str,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> Sample:
    """Give a sample its verdict, in the caller's transaction.

    Raises:
        SampleMissing: there is no such sample.
        InvalidInput: the family does not take this label for this sample.
        ReviewConflict: it has another verdict, and this one does not say that it corrects it.
        TransitionRefused: it has been used already.
        SampleDamaged: its content is gone.
    """
    row = samples.find_row(session, key, project_id, lock=True)
    if _is_settled(row, verdict):
        return store.to_sample(row)
    transition = _transition(row, verdict)
    state = MACHINE.apply(row.state, transition)
    if verdict.label is not None:
        check_label(home, row, verdict.label)
    before = row.label
    row.state, row.label, row.changed = state, verdict.label, _changes(row, verdict.label)
    row.reviewer, row.reviewed_ms = actor, now_ms()
    session.flush()
    detail = {"transition": transition, "label": verdict.label, "label_before": before}
    audit.record(
        session, actor, f"sample.{state}", f"sample:{row.digest}", detail, project_id=project_id
    )
    return store.to_sample(row)


def _is_settled(row: store.SampleRow, verdict: Verdict) -> bool:
    if verdict.label is None:
        return row.state == "unusable"
    return row.state in ("reviewed", "used") and _same(row.label, verdict.label)


def _changes(row: store.SampleRow, label: Any) -> bool | None:
    """Whether a label is another than the model's answer; a class may be text or a number."""
    if label is None:
        return None
    are_classes = all(type(one) in (str, int) for one in (row.answer, label))
    return str(row.answer) != str(label) if are_classes else not _same(row.answer, label)


def undo(session: Session, key: str, actor: str, *, project_id: str = DEFAULT_PROJECT) -> Sample:
    """Take one's own verdict back, in the caller's transaction: the sample waits again.

    Raises:
        SampleMissing: there is no such sample.
        ReviewConflict: the verdict is somebody else's.
        TransitionRefused: it has no verdict, or has been used.
    """
    row = samples.find_row(session, key, project_id, lock=True)
    state, before = MACHINE.apply(row.state, "undo"), row.label
    if row.reviewer != actor:
        raise ReviewConflict(
            f"The verdict on this sample is that of {row.reviewer}.",
            next_step="Only one's own can be taken back; correct theirs instead.",
        )
    row.state, row.label, row.changed = state, None, None
    row.reviewer, row.reviewed_ms = "", None
    session.flush()
    detail = {"transition": "undo", "label": None, "label_before": before}
    audit.record(
        session, actor, "sample.undone", f"sample:{row.digest}", detail, project_id=project_id
    )
    return store.to_sample(row)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: unlike in Python, true is not 1."""
    return canonical_json(one) == _canonical(other)


def _canonical(label: Any) -> bytes:
    try:
        return canonical_json(label)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput("The label is not valid JSON.") from error


def _transition(row: store.SampleRow, verdict: Verdict) -> str:
    if row.state == MACHINE.initial:
        return "reject" if verdict.label is None else "review"
    if not verdict.correct:
        said = "unusable" if row.state == "unusable" else f"reviewed as {row.label!r}"
        raise ReviewConflict(
            f"{row.reviewer} has already said that this sample is {said}.",
            next_step="To replace that, send the review again with correct set.",
        )
    return "discard" if verdict.label is None else "correct"


def check_label(home: Path, row: store.SampleRow, label: Any) -> None:
    """Refuse a label that a sample's family does not take for it.

    Raises:
        InvalidInput: says why.
        SampleDamaged: its content is gone.
    """
    try:
        columns = normalise(samples.read_row(home, row.digest) | {LABEL_COLUMN: label})
        reason = registry.spec(row.family).check_row(columns)
    except RowRefused as error:
        reason = error.message
    if reason:
        raise InvalidInput(
            f"This sample cannot take the label: {reason}.",
            next_step="Give another label, or mark the sample as unusable.",
        )


@dataclass(frozen=True, slots=True)
class Collection:
    """Which reviewed samples go into which dataset.

    Args:
        name: the dataset; it may be new.
        family: the family of the samples.
        origin: a key; collecting twice under one key makes one version. Empty for one made of the
            samples themselves.
        site: only samples of this site, if set.
        served_as: only samples of the stack served under this name, if set.
        reason: only samples taken for this reason, if set.
        holdout: as in `Draft`.
        mode: as in `Draft`.
    """

    name: str
    family: str
    origin: str = ""
    site: str = ""
    served_as: str = ""
    reason: str = ""
    holdout: float | None = None
    mode: Mode = Mode.APPEND
    project_id: str = DEFAULT_PROJECT

    @property
    def wanted(self) -> SampleFilter:
        """The reviewed samples that it asks for."""
        return SampleFilter(
            site=self.site,
            state="reviewed",
            reason=self.reason,
            served_as=self.served_as,
            family=self.family,
            project_id=self.project_id,
        )


def collect(
    warehouse: Warehouse,
    home: Path,
    collection: Collection,
    actor: str,
    *,
    report: Reporter = silent,
) -> Addition:
    """Put reviewed samples into a dataset as a new version, and mark them as used with it.

    Both happen in one transaction, which this opens itself: call it outside of one. Samples whose
    row is turned down (a contradicting label, near both training and held-out rows) become
    unusable.

    Where the family reads rejected answers, a row carries the model's own answer as one if the
    reviewer gave another; of several samples of one input that of the newest. An answer that was
    confirmed leaves none.

    Raises:
        NothingReviewed: no sample is waiting, and none was collected under this origin before.
        ReviewConflict: a sample was reviewed anew while this ran; nothing was changed.
        SourceRefused, DatasetConflict, DatasetDamaged: as `add_version`.
    """
    with warehouse.database.reading() as session:
        chosen = samples.select_all(session, collection.wanted)
    draft = _draft(collection, chosen)
    if not chosen:
        return _earlier(warehouse, draft)
    batch = _Batch(home, chosen, actor, registry.spec(collection.family))
    return add_version(warehouse, draft, batch.records(), actor, report=report, settle=batch.settle)


def _draft(collection: Collection, chosen: Sequence[Sample]) -> Draft:
    made_of = [[sample.digest, sample.label] for sample in chosen]
    return Draft(
        name=collection.name,
        family=collection.family,
        origin=collection.origin or f"review:{sha256_json(made_of)}",
        mode=collection.mode,
        holdout=collection.holdout,
        project_id=collection.project_id,
    )


def _earlier(warehouse: Warehouse, draft: Draft) -> Addition:
    own = warehouse.place(draft.project_id, draft.name)
    test = warehouse.place(draft.project_id, draft.test_name)
    with warehouse.database.reading() as session:
        done = recording.look(session, draft, own, test).done
    if done is None:
        raise NothingReviewed(
            "No reviewed sample is waiting to go into a dataset.",
            next_step="Label samples first: see `dizuo review ls`.",
        )
    return done


def _rejected_answer(spec: Spec, columns: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    """The column that keeps a model's answer as rejected; none where the reviewer confirmed it, or
    where the family cannot learn from it: it is empty, for example.

    Raises:
        RowRefused: it cannot be kept.
    """
    whole = normalise({**columns, REJECTED_COLUMN: answer})
    if REJECTED_COLUMN not in whole or spec.check_row(whole):
        return {}
    if _same(answer, spec.truth(columns)):
        return {}
    return {REJECTED_COLUMN: whole[REJECTED_COLUMN]}


@dataclass(slots=True)
class _Batch:
    """The samples of one collection: first as candidates, then as used ones."""

    home: Path
    chosen: Sequence[Sample]
    actor: str
    spec: Spec
    row_digests: dict[str, str] = field(default_factory=dict)

    def records(self) -> Iterator[Candidate | Reject]:
        """Each sample as a row with its label, and with a rejected answer where there is one; its
        place is `sample:<digest>`."""
        rejected = self._rejected()
        for sample in self.chosen:
            place = SOURCE_PREFIX + sample.digest
            try:
                columns = self._columns(sample)
            except (RowRefused, SampleDamaged) as error:
                yield Reject(place, error.message)
                continue
            columns |= rejected.get(row_digest(columns), {})
            self.row_digests[sample.digest] = row_digest(columns)
            yield Candidate(place, columns)

    def _columns(self, sample: Sample) -> dict[str, Any]:
        row = samples.read_row(self.home, sample.digest)
        return normalise(row | {LABEL_COLUMN: sample.label})

    def _rejected(self) -> dict[str, dict[str, Any]]:
        """The rejected answer of each row, as the column to add, by the row's digest without it."""
        found: dict[str, dict[str, Any]] = {}
        if REJECTED_COLUMN not in self.spec.COLUMNS:
            return found
        for sample in sorted(self.chosen, key=lambda one: (one.taken_ms, one.digest)):
            with suppress(RowRefused, SampleDamaged):
                columns = self._columns(sample)
                if added := _rejected_answer(self.spec, columns, sample.answer):
                    found[row_digest(columns)] = added
        return found

    def settle(self, session: Session, addition: Addition, placement: Placement) -> None:
        """Mark each sample as used with the version that holds it, or as unusable."""
        where = placement.where()
        outcomes: dict[str, list[str]] = {}
        for sample in self.chosen:
            side = where.get(self.row_digests.get(sample.digest, ""))
            row = samples.find_row(session, sample.digest, sample.project_id, lock=True)
            self._require_unchanged(row, sample)
            version = addition.held_out if side is Side.TEST else addition.version
            if side is None or version is None:
                row.state = MACHINE.apply(row.state, "discard")
                row.changed = None
                outcomes.setdefault("", []).append(sample.digest)
            else:
                row.state = MACHINE.apply(row.state, "use")
                row.dataset_version_id = version.id
                outcomes.setdefault(version.pin.ref, []).append(sample.digest)
        session.flush()
        self._audit(session, outcomes)

    def _require_unchanged(self, row: store.SampleRow, sample: Sample) -> None:
        if row.state != sample.state or not _same(row.label, sample.label):
            raise ReviewConflict(
                f"The sample {row.digest} was reviewed anew meanwhile.",
                next_step="Collect the samples again; nothing was changed.",
            )

    def _audit(self, session: Session, outcomes: Mapping[str, Sequence[str]]) -> None:
        project = self.chosen[0].project_id
        for ref, digests in outcomes.items():
            action = "samples.used" if ref else "samples.discarded"
            subject = f"dataset:{ref}" if ref else "samples"
            for start in range(0, len(digests), _DIGESTS_PER_ENTRY):
                detail = {"samples": list(digests[start : start + _DIGESTS_PER_ENTRY])}
                audit.record(session, self.actor, action, subject, detail, project_id=project)
