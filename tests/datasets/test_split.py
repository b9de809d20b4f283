"""The split: by content alone, and without leaks."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizuo.datasets.nearness import Vectors, flood, nearest, touches
from dizuo.datasets.split import (
    Existing,
    NearRows,
    Side,
    held_out_by_hash,
    place_all,
    place_known,
)

THRESHOLD = 0.97


def digest(name: object) -> str:
    return "sha256:" + hashlib.sha256(repr(name).encode()).hexdigest()


def on_circle(*degrees: float) -> Vectors:
    """Unit vectors; near duplicates are less than 14 degrees apart."""
    radians = np.deg2rad(np.array(degrees, np.float32))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def none() -> Vectors:
    return np.zeros((0, 0), np.float32)


def near(new: Vectors, train: Vectors, test: Vectors) -> NearRows:
    return NearRows(new, train, test, THRESHOLD)


def drawn(share: float, *, held_out: bool) -> str:
    """A digest whose own hash holds it out, or not."""
    return next(d for d in map(digest, range(1000)) if held_out_by_hash(d, share) is held_out)


@given(st.integers(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_holds_out_what_a_smaller_one_does(
    seed: int, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    if held_out_by_hash(digest(seed), small):
        assert held_out_by_hash(digest(seed), large)
    assert not held_out_by_hash(digest(seed), 0.0)
    assert held_out_by_hash(digest(seed), 1.0)


def test_the_share_is_what_is_held_out() -> None:
    held_out = sum(held_out_by_hash(digest(number), 0.4) for number in range(5000))
    assert 1880 < held_out < 2120  # 2000, give or take 3.5 standard deviations


def test_rows_that_are_there_stay_where_they_are() -> None:
    existing = Existing(train={"i1": "r1", "i2": "r2"}, test={"i3": "r3", "i4": "r4"})
    sides = place_known(
        ["r1", "r2-new", "r3", "r4-new", "r5"], ["i1", "i2", "i3", "i4", "i5"], existing
    )
    assert sides == [Side.DUPLICATE, Side.TRAIN, Side.DUPLICATE, Side.TEST, None]


def test_an_equal_row_is_a_duplicate_whatever_its_input_was_once_taken_for() -> None:
    """Digests of inputs had rejected answers in them once."""
    existing = Existing(train={digest("old"): digest("row")}, test={digest("t"): digest("held")})
    rows, inputs = [digest("row"), digest("held"), digest("x")], [digest(n) for n in "abc"]
    assert place_known(rows, inputs, existing) == [Side.DUPLICATE, Side.DUPLICATE, None]


def test_without_a_share_everything_is_training() -> None:
    assert place_all([digest(1), digest(2)], [None, Side.DUPLICATE], 0.0, None) == [
        Side.TRAIN,
        Side.DUPLICATE,
    ]


def test_near_duplicates_of_a_held_out_row_follow_it_over_other_new_rows() -> None:
    kept, out = drawn(0.5, held_out=False), drawn(0.5, held_out=True)
    vectors = on_circle(0, 10, 20, 90)
    sides = place_all([out, kept, kept, kept], [None] * 4, 0.5, near(vectors, none(), none()))
    assert sides == [Side.TEST, Side.TEST, Side.TEST, Side.TRAIN]


def test_rows_near_training_rows_stay_in_training_whatever_their_hash() -> None:
    out = drawn(0.5, held_out=True)
    rows = near(on_circle(10, 20, 90), on_circle(0), none())
    assert place_all([out] * 3, [None] * 3, 0.5, rows) == [Side.TRAIN, Side.TRAIN, Side.TEST]


def test_rows_near_held_out_rows_are_held_out_whatever_their_hash() -> None:
    kept = drawn(0.5, held_out=False)
    rows = near(on_circle(10, 20, 90), none(), on_circle(0))
    assert place_all([kept] * 3, [None] * 3, 0.5, rows) == [Side.TEST, Side.TEST, Side.TRAIN]


def test_a_row_between_both_can_be_in_neither() -> None:
    kept = drawn(0.5, held_out=False)
    direct = near(on_circle(10), on_circle(0), on_circle(20))
    assert place_all([kept], [None], 0.5, direct) == [Side.BETWEEN]
    over_another = near(on_circle(10, 20), on_circle(0), on_circle(30))
    assert place_all([kept] * 2, [None] * 2, 0.5, over_another) == [Side.BETWEEN, Side.TEST]


ANGLES = st.lists(st.integers(0, 359), max_size=25, unique=True)


@settings(max_examples=200)
@given(st.lists(ANGLES, min_size=1, max_size=4), st.floats(0.05, 0.9))
def test_no_sequence_of_additions_leaks(additions: list[list[int]], share: float) -> None:
    """After every addition no training row is near a held-out one, and nobody has moved."""
    train: list[int] = []
    test: list[int] = []
    for angles in additions:
        new = [angle for angle in angles if angle not in train and angle not in test]
        rows = near(
            on_circle(*new) if new else none(),
            on_circle(*train) if train else none(),
            on_circle(*test) if test else none(),
        )
        sides = place_all([digest(angle) for angle in new], [None] * len(new), share, rows)
        train += [angle for angle, side in zip(new, sides, strict=True) if side is Side.TRAIN]
        test += [angle for angle, side in zip(new, sides, strict=True) if side is Side.TEST]
        if train and test:
            assert not (on_circle(*train) @ on_circle(*test).T >= THRESHOLD).any()


@given(ANGLES, st.randoms())
def test_where_a_row_goes_does_not_depend_on_the_order_they_come_in(
    angles: list[int], chance: random.Random
) -> None:
    def sides_of(order: Sequence[int]) -> dict[int, Side]:
        vectors = on_circle(*order) if order else none()
        digests = [digest(angle) for angle in order]
        found = place_all(digests, [None] * len(order), 0.4, near(vectors, none(), none()))
        return dict(zip(order, found, strict=True))

    assert sides_of(angles) == sides_of(chance.sample(angles, len(angles)))


@pytest.mark.parametrize("number", [0, 1, 3, 1500])
def test_blocks_give_what_one_product_gives(number: int) -> None:
    chance = np.random.default_rng(number)
    vectors = chance.normal(size=(2100, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    others = vectors[:number] * np.float32(0.999)
    whole = vectors @ others.T if number else np.zeros((2100, 0), np.float32)
    assert (touches(vectors, others, 0.99) == (whole >= 0.99).any(axis=1)).all()
    similarity, index = nearest(vectors, others)
    if number:
        assert np.allclose(similarity, whole.max(axis=1))
        assert np.allclose(whole[np.arange(2100), index], whole.max(axis=1))
    else:
        assert (similarity == -1).all()


def test_a_flood_goes_over_more_rows_than_a_block_holds() -> None:
    vectors = on_circle(*(number * 0.05 for number in range(3000)))
    everything = np.ones(3000, np.bool_)
    seeds = np.zeros(3000, np.bool_)
    seeds[0] = True
    assert flood(vectors, seeds, everything, everything, 0.9999).all()
    closed = everything.copy()
    closed[1000:1100] = False  # five degrees that nothing passes
    reached = flood(vectors, seeds, everything, closed, 0.9999)
    assert reached[:1001].all()
    assert not reached[1100:].any()
