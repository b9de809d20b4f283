"""What an addition changes in a dataset and in its test, worked out before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dizuo.datasets.content import content_digest
from dizuo.datasets.model import DatasetPin, Mode
from dizuo.datasets.nearness import fingerprints
from dizuo.datasets.split import Existing, NearRows, Side, place_all, place_known
from dizuo.datasets.staging import Staged
from dizuo.datasets.table import iterate_rows, read_digests
from dizuo.families.base import Spec


@dataclass(frozen=True, slots=True)
class Bases:
    """What is there already. `train` and `test` are what rows are appended to: None where a
    dataset is new, is replaced, or takes no part. `share` is what is held out."""

    train: DatasetPin | None
    test: DatasetPin | None
    share: float

    @staticmethod
    def of(mode: Mode, train: DatasetPin | None, test: DatasetPin | None, share: float) -> Bases:
        """The bases of an addition, given the newest versions."""
        append = mode is Mode.APPEND
        return Bases(
            train=train if append else None,
            test=test if append and share > 0 else None,
            share=share,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What one dataset gains and loses, and what it will hold: row digests."""

    added: frozenset[str]
    removed: frozenset[str]
    digest: str
    num_rows: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where each staged row goes, by index, and what is there already."""

    staged: Staged
    sides: Sequence[Side]
    existing: Existing

    def change(self, side: Side) -> Change:
        """What the dataset of `side` gains and loses."""
        there = self.existing.train if side is Side.TRAIN else self.existing.test
        added, removed = set(), set()
        for index, where in enumerate(self.sides):
            if where is side:
                added.add(self.staged.row_digests[index])
                old = there.get(self.staged.input_digests[index])
                if old is not None:
                    removed.add(old)
        rows = (set(there.values()) - removed) | added
        return Change(frozenset(added), frozenset(removed), content_digest(rows), len(rows))

    def where(self) -> dict[str, Side]:
        """Where each row lies now, train or test, by row digest; those between are left out."""
        found, there = {}, self.existing.sides()
        for digest, side in zip(self.staged.row_digests, self.sides, strict=True):
            if side is Side.DUPLICATE:
                found[digest] = there[digest]
            elif side is not Side.BETWEEN:
                found[digest] = side
        return found

    def count(self, *sides: Side) -> int:
        """How many rows have one of these sides."""
        return sum(side in sides for side in self.sides)


def place(staged: Staged, bases: Bases, spec: Spec) -> Placement:
    """Decide where every staged row goes.

    Raises:
        DatasetDamaged: what is there already cannot be read.
    """
    existing = Existing(
        train=read_digests(bases.train) if bases.train else {},
        test=read_digests(bases.test) if bases.test else {},
    )
    known = place_known(staged.row_digests, staged.input_digests, existing)
    near = _near_rows(staged, bases, spec) if bases.share > 0 else None
    sides = place_all(staged.input_digests, known, bases.share, near)
    return Placement(staged, sides, existing)


def _near_rows(staged: Staged, bases: Bases, spec: Spec) -> NearRows:
    assert staged.fingerprints is not None
    return NearRows(
        new=staged.fingerprints,
        train=fingerprints(spec, iterate_rows(bases.train) if bases.train else ()),
        test=fingerprints(spec, iterate_rows(bases.test) if bases.test else ()),
        threshold=spec.NEAR_DUPLICATE_SIMILARITY,
    )
