"""Handwritten digits read by the demo's L1, and three ways in which the camera changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.rig.drifts import Drift
from benchmarks.rig.learning import Course
from dizuo.demo.meter.digits import Images, Labelled, drift, png_rows, split_digits
from dizuo.demo.meter.shapes import shape_rows
from dizuo.families.base import Row

NUM_SHAPES = 6000
NUM_FRAMES = 1200
_TARGET = "onnx"

Change = Callable[[Images, int], Images]
"""What a camera makes of images; the number decides what is random."""


def lens(images: Images, _seed: int) -> Images:
    """One pixel to the right and down, and blurred (a Gaussian of 0.8 pixels)."""
    moved = ndimage.shift(images.astype(np.float64), (0, 1, 1, 0), order=0, mode="nearest")
    return _grey(ndimage.gaussian_filter(moved, (0, 0.8, 0.8, 0)))


def dusk(images: Images, seed: int) -> Images:
    """15% to 35% of the contrast, on grey with noise of a standard deviation of 8 of 255."""
    random = np.random.default_rng(seed)
    contrast = random.uniform(0.15, 0.35, size=(len(images), 1, 1, 1))
    return _grey(images * contrast + random.normal(24, 8, size=images.shape))


def _grey(values: NDArray[np.float64]) -> Images:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


CHANGES: Mapping[str, Change] = {"mounting": drift, "lens": lens, "dusk": dusk}
"""`mounting` is that of the demo's story: rotated, inverted and dimmed."""


def drifts(seed: int, folder: Path) -> Iterator[Drift]:
    """Each change of the camera over one shuffle of the digits; one stack for all of them."""
    digits = split_digits(seed)
    shapes = [{"image": image, "label": label} for image, label in shape_rows(NUM_SHAPES, seed)]
    base = Course("shapes", _TARGET).learn(shapes, folder / "shapes")
    reading = Course("meter-reading", _TARGET, base)
    stack = reading.learn(_rows(digits.training), folder / "meter-reading")
    for name, change in CHANGES.items():
        changed = Labelled(change(digits.test.images, seed + 1000), digits.test.labels)
        yield Drift(
            name=name,
            stack=stack,
            course=Course("meter-reading-site3", _TARGET, stack),
            usual=_rows(digits.test),
            changed=_rows(changed),
            stream=_rows(frames(digits.stream, change, seed + 2000)),
        )


def frames(part: Labelled, change: Change, seed: int) -> Labelled:
    """NUM_FRAMES changed frames of the meters in `part`, each seen about equally often."""
    random = np.random.default_rng(seed)
    rounds = -(-NUM_FRAMES // len(part))
    order = np.concatenate([random.permutation(len(part)) for _ in range(rounds)])[:NUM_FRAMES]
    seen = part.take(order.tolist())
    return Labelled(change(seen.images, seed + 1), seen.labels)


def _rows(part: Labelled) -> list[Row]:
    return [{"image": image, "label": label} for image, label in png_rows(part)]
