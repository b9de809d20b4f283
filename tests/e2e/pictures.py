"""Small real pictures: a bright bar that stands or lies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

LABELS = ("tall", "wide")


def picture(label: str, draw: np.random.Generator) -> bytes:
    """A PNG of 8 by 8 grey pixels."""
    pixels = draw.integers(0, 60, (8, 8), dtype=np.uint8)
    place = draw.integers(1, 7)
    if label == "tall":
        pixels[:, place] += 180
    else:
        pixels[place] += 180
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def one_picture(seed: int, label: str = "tall") -> bytes:
    """Another picture for each seed."""
    return picture(label, np.random.default_rng(seed))


def write_folder(folder: Path, num_pictures: int, seed: int) -> Path:
    """A folder of pictures, one folder a label."""
    draw = np.random.default_rng(seed)
    for index in range(num_pictures):
        label = LABELS[index % len(LABELS)]
        path = folder / label / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(label, draw))
    return folder
