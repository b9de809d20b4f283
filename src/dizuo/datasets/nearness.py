"""Which rows lie near which: cosine similarity of fingerprints, in blocks that bound memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from dizuo.datasets.model import StoredRow
from dizuo.families.base import Spec

Vectors = NDArray[np.float32]
"""Unit vectors, shape (rows, d)."""
Mask = NDArray[np.bool_]
_BLOCK_ROWS = 1024
_FINGERPRINT_ROWS = 256


def blocks(rows: Iterable[StoredRow], size: int = _FINGERPRINT_ROWS) -> Iterator[list[StoredRow]]:
    """Rows in lists of at most `size`."""
    iterator = iter(rows)
    while block := list(islice(iterator, size)):
        yield block


def fingerprints(spec: Spec, rows: Iterable[StoredRow]) -> Vectors:
    """The fingerprints of all rows, in their order; shape (0, 0) without any."""
    parts = [spec.fingerprints([row.columns for row in block]) for block in blocks(rows)]
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def touches(vectors: Vectors, others: Vectors, threshold: float) -> Mask:
    """For each row of `vectors`, whether some row of `others` is at least `threshold` similar."""
    found = np.zeros(len(vectors), np.bool_)
    if len(others):
        for start in range(0, len(others), _BLOCK_ROWS):
            rest = np.flatnonzero(~found)
            for part in _index_blocks(rest):
                similar = vectors[part] @ others[start : start + _BLOCK_ROWS].T >= threshold
                found[part] = similar.any(axis=1)
    return found


def flood(vectors: Vectors, seeds: Mask, allowed: Mask, passable: Mask, threshold: float) -> Mask:
    """The rows of `allowed` that are reached from `seeds` over near duplicates.

    A row outside `passable` may be reached but nothing is reached through it. Each row is compared
    once, so no list of pairs is ever held.
    """
    reached = seeds & allowed
    frontier = np.flatnonzero(reached & passable)
    while len(frontier):
        rest = allowed & ~reached
        for part in _index_blocks(frontier):
            for open_part in _index_blocks(np.flatnonzero(rest & ~reached)):
                similar = vectors[open_part] @ vectors[part].T >= threshold
                reached[open_part] |= similar.any(axis=1)
        frontier = np.flatnonzero(rest & reached & passable)
    return reached


def nearest(vectors: Vectors, others: Vectors) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """For each row of `vectors` its highest similarity to a row of `others`, and that row's index.
    Without others the similarity is -1."""
    best = np.full(len(vectors), -1, np.float32)
    index = np.zeros(len(vectors), np.intp)
    if not len(others):
        return best, index
    for part in _index_blocks(np.arange(len(vectors))):
        for start in range(0, len(others), _BLOCK_ROWS):
            similar = vectors[part] @ others[start : start + _BLOCK_ROWS].T
            column = similar.argmax(axis=1)
            value = similar[np.arange(len(part)), column]
            better = value > best[part]
            best[part] = np.where(better, value, best[part])
            index[part] = np.where(better, column + start, index[part])
    return best, index


def num_near_earlier(vectors: Vectors, threshold: float) -> int:
    """How many rows are at least `threshold` similar to one that comes before them."""
    number = 0
    for part in _index_blocks(np.arange(len(vectors))):
        similar = vectors[part] @ vectors[: part[-1] + 1].T >= threshold
        number += int((similar & (np.arange(part[-1] + 1) < part[:, None])).any(axis=1).sum())
    return number


def _index_blocks(indices: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(indices), _BLOCK_ROWS):
        yield indices[start : start + _BLOCK_ROWS]
