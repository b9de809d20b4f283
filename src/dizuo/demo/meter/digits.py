"""The meter-reading story's images: scikit-learn's handwritten digits, real ones, 8 by 8 pixels.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, as scikit-learn ships it (1,797 images).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

NUM_TRAINING = 900
NUM_STREAM = 440
DRIFT = "rotated by 90 degrees, inverted, and dimmed to between 55% and 85% with a light gradient"
"""What the camera at site 3 does to every image, in words."""

Images = NDArray[np.uint8]
"""Shape (n, 8, 8, 1): n grey images."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images with the digit each shows."""

    images: Images
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Iterable[int]) -> Labelled:
        """Those at `indices`, in that order."""
        chosen = list(indices)
        return Labelled(self.images[chosen], tuple(self.labels[i] for i in chosen))


@dataclass(frozen=True, slots=True)
class DigitSplit:
    """Three disjoint parts: what L1 learns from, what site 3's camera sees, what nobody learns."""

    training: Labelled
    stream: Labelled
    test: Labelled


def split_digits(seed: int) -> DigitSplit:
    """Shuffle the digits by `seed` and cut them in three; the test part has 457 images."""
    data, target = load_digits(return_X_y=True)
    images = np.rint(data.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    everything = Labelled(images, tuple(str(label) for label in target))
    order = np.random.default_rng(seed).permutation(len(everything)).tolist()
    first, second = NUM_TRAINING, NUM_TRAINING + NUM_STREAM
    return DigitSplit(
        training=everything.take(order[:first]),
        stream=everything.take(order[first:second]),
        test=everything.take(order[second:]),
    )


def drift(images: Images, seed: int) -> Images:
    """What site 3's camera makes of `images`: see `DRIFT`. Each frame's light is its own."""
    generator = np.random.default_rng(seed)
    num_images = len(images)
    turned = 255.0 - np.rot90(images, axes=(1, 2)).astype(np.float64)
    light = generator.uniform(0.55, 0.85, size=(num_images, 1, 1, 1))
    slope = generator.uniform(-0.15, 0.15, size=(num_images, 1, 1, 1))
    gradient = 1.0 + slope * np.linspace(-1, 1, images.shape[2]).reshape(1, 1, -1, 1)
    return np.clip(np.rint(turned * light * gradient), 0, 255).astype(np.uint8)


def frames(part: Labelled, num_frames: int, seed: int) -> Labelled:
    """`num_frames` drifted frames of the meters in `part`, each meter seen about equally often."""
    generator = np.random.default_rng(seed)
    rounds = -(-num_frames // len(part))
    order = np.concatenate([generator.permutation(len(part)) for _ in range(rounds)])[:num_frames]
    seen = part.take(order.tolist())
    return Labelled(drift(seen.images, seed + 1), seen.labels)


def png(image: NDArray[np.uint8]) -> bytes:
    """One grey image, shape (h, w, 1), as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0]).save(buffer, format="PNG")
    return buffer.getvalue()


def png_rows(part: Labelled) -> Iterator[tuple[bytes, str]]:
    """(PNG, label) of each image."""
    for image, label in zip(part.images, part.labels, strict=True):
        yield png(image), label
