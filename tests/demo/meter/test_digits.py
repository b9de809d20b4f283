"""The story's images: disjoint, repeatable, and drifted as stated."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dizuo.demo.meter.digits import (
    NUM_STREAM,
    NUM_TRAINING,
    DigitSplit,
    drift,
    frames,
    png,
    split_digits,
)


@pytest.fixture(scope="module")
def split() -> DigitSplit:
    return split_digits(1)


def test_the_parts_are_disjoint_and_complete(split: DigitSplit) -> None:
    parts = (split.training, split.stream, split.test)
    seen = [image.tobytes() for part in parts for image in part.images]
    assert len(seen) == len(set(seen)) == 1797
    assert (len(split.training), len(split.stream)) == (NUM_TRAINING, NUM_STREAM)
    assert len(split.test) >= 400


def test_a_seed_repeats_and_another_does_not(split: DigitSplit) -> None:
    assert np.array_equal(split_digits(1).test.images, split.test.images)
    assert not np.array_equal(split_digits(2).test.images, split.test.images)


def test_drift_turns_inverts_and_dims(split: DigitSplit) -> None:
    before, after = split.test.images, drift(split.test.images, 7)
    turned = np.rot90(before, axes=(1, 2)).astype(float)
    for index in range(0, len(before), 50):
        correlation = np.corrcoef(turned[index].ravel(), after[index].ravel())[0, 1]
        assert correlation < -0.9
    assert after.max() <= 255 * 0.85 * 1.15
    assert np.array_equal(drift(before, 7), after)


def test_frames_show_each_meter_about_equally_often(split: DigitSplit) -> None:
    seen = frames(split.stream, 1000, 3)
    assert len(seen) == 1000
    expected = {label: split.stream.labels.count(label) for label in set(split.stream.labels)}
    for label, count in expected.items():
        assert 2 * count <= seen.labels.count(label) <= 3 * count


def test_frames_of_one_meter_differ_in_light(split: DigitSplit) -> None:
    seen = frames(split.stream.take(range(10)), 40, 3)
    assert len({image.tobytes() for image in seen.images}) == 40


def test_png_keeps_every_pixel(split: DigitSplit) -> None:
    image = split.test.images[0]
    decoded = np.asarray(Image.open(io.BytesIO(png(image))))
    assert np.array_equal(decoded, image[:, :, 0])
