"""The shapes the demo's base learns from."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
from PIL import Image

from dizuo.demo.meter.shapes import DRAWINGS, SIDE_PIXELS, shape_rows


def test_the_same_seed_gives_the_same_pictures() -> None:
    assert list(shape_rows(50, 3)) == list(shape_rows(50, 3))
    assert list(shape_rows(50, 3)) != list(shape_rows(50, 4))


def test_more_pictures_begin_with_the_same_ones() -> None:
    assert list(shape_rows(60, 3))[:20] == list(shape_rows(20, 3))


def test_classes_take_turns() -> None:
    counts = Counter(label for _, label in shape_rows(3 * len(DRAWINGS), 0))
    assert counts == dict.fromkeys(DRAWINGS, 3)
    assert 20 <= len(DRAWINGS) <= 40


def test_pictures_are_small_grey_png_with_something_on_them() -> None:
    pictures = []
    for image, _ in shape_rows(200, 1):
        with Image.open(io.BytesIO(image)) as picture:
            assert (picture.format, picture.mode) == ("PNG", "L")
            assert picture.size == (SIDE_PIXELS, SIDE_PIXELS)
            pictures.append(np.asarray(picture, dtype=int))
    spans = [int(np.ptp(picture)) for picture in pictures]
    assert min(spans) > 30
    bright = np.mean([np.median(picture) > 128 for picture in pictures])
    assert 0.15 < bright < 0.45
