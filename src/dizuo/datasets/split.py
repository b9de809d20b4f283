"""Who goes where: training rows and held-out rows, so that nothing of one is in the other.

A new row is held out if the hash of its input falls below the share; that depends on nothing else,
so it is the same in every version. Then near duplicates follow: rows that are near a held-out row,
directly or over other new rows, are held out too; rows near an older training row stay in training.
A row that is near both can be in neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from dizuo.datasets.nearness import Mask, Vectors, flood, touches

BETWEEN = "it is near a training row and near a held-out row, so it can be in neither"


class Side(StrEnum):
    """What becomes of a row."""

    TRAIN = "train"
    TEST = "test"
    DUPLICATE = "duplicate"
    BETWEEN = "between"


@dataclass(frozen=True, slots=True)
class Existing:
    """Rows that are already in the two datasets: input digest to row digest."""

    train: Mapping[str, str] = field(default_factory=dict)
    test: Mapping[str, str] = field(default_factory=dict)

    def sides(self) -> dict[str, Side]:
        """Where each row lies, by row digest."""
        return dict.fromkeys(self.train.values(), Side.TRAIN) | dict.fromkeys(
            self.test.values(), Side.TEST
        )


@dataclass(frozen=True, slots=True)
class NearRows:
    """Fingerprints of the new rows and of those already there."""

    new: Vectors
    train: Vectors
    test: Vectors
    threshold: float


def held_out_by_hash(input_digest: str, share: float) -> bool:
    """Whether a row's own content puts it among the held-out `share`."""
    return int(input_digest.removeprefix("sha256:")[:16], 16) / 2**64 < share


def place_known(
    row_digests: Sequence[str], input_digests: Sequence[str], existing: Existing
) -> list[Side | None]:
    """Where rows go whose input is there already: an equal row is a duplicate, one with another
    label or rejected answer replaces it where it lies. None for a new input."""
    there = existing.sides()
    sides: list[Side | None] = []
    for row, source in zip(row_digests, input_digests, strict=True):
        if row in there:
            sides.append(Side.DUPLICATE)
        elif source in existing.test:
            sides.append(Side.TEST)
        elif source in existing.train:
            sides.append(Side.TRAIN)
        else:
            sides.append(None)
    return sides


def place_all(
    input_digests: Sequence[str], known: Sequence[Side | None], share: float, near: NearRows | None
) -> list[Side]:
    """Where every row goes, given where the known ones do.

    `near` is None when nothing is held out; then every new row is a training row.
    """
    if near is None:
        return [side or Side.TRAIN for side in known]
    undecided = np.array([side is None for side in known], np.bool_)
    hashed = np.array([held_out_by_hash(digest, share) for digest in input_digests], np.bool_)
    held_out, between = _hold_out(near, undecided, hashed)
    sides = []
    for index, side in enumerate(known):
        if side is not None:
            sides.append(side)
        elif between[index]:
            sides.append(Side.BETWEEN)
        else:
            sides.append(Side.TEST if held_out[index] else Side.TRAIN)
    return sides


def _hold_out(near: NearRows, undecided: Mask, hashed: Mask) -> tuple[Mask, Mask]:
    """Masks of the held-out rows and of those that lie between, among the undecided."""
    vectors, threshold = near.new, near.threshold
    near_train = undecided & touches(vectors, near.train, threshold)
    near_test = undecided & touches(vectors, near.test, threshold)
    reached = flood(vectors, near_test, undecided, ~near_train, threshold)
    between = reached & near_train
    bound_to_test = reached & ~near_train
    # Undecided rows near training, and whatever hangs on them, cannot be held out any more.
    free = undecided & ~reached
    bound_to_train = flood(vectors, near_train & free, free, free, threshold)
    free &= ~bound_to_train
    drawn = flood(vectors, hashed & free, free, free, threshold)
    return bound_to_test | drawn, between
