"""Generated shapes and strokes: what the demo's base learns to see before it meets a digit.

Each class is a small drawing of strokes, arcs and polygons in a square of side 2 around the origin,
x to the right and y down. A picture draws one class with a random place, size, slant, rotation,
thickness and light, some of them dark on bright, and averages it down to 8x8 grey pixels, the way
scikit-learn's digits were made from scans. No digit is among them: a ring and an upright bar are as
near as they come.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
"""A polyline in the drawing's own square, shape (points, 2)."""

SIDE_PIXELS = 8
_CANVAS_PIXELS = 64
_INVERTED_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Drawing:
    """A class: the polylines that are stroked, or polygons that are filled."""

    lines: tuple[Points, ...]
    filled: bool = False


def _line(*corners: tuple[float, float]) -> Points:
    return np.asarray(corners, dtype=np.float64)


def _arc(from_degrees: float, to_degrees: float, *, radius: float = 0.9, y: float = 0.0) -> Points:
    angles = np.radians(np.linspace(from_degrees, to_degrees, 20))
    return np.stack([radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def _polygon(num_corners: int) -> Points:
    angles = np.radians(np.linspace(-90, 270, num_corners + 1))
    return 0.95 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _spiral() -> Points:
    angles = np.linspace(0, 3.5 * np.pi, 40)
    radii = (0.15 + 0.8 * angles / angles[-1])[:, None]
    return np.asarray(radii * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def _wave() -> Points:
    x = np.linspace(-1, 1, 24)
    return np.stack([x, 0.5 * np.sin(1.5 * np.pi * x)], axis=1)


def _star() -> Points:
    angles = np.radians(np.linspace(-90, 270, 11))
    radii = np.where(np.arange(11) % 2 == 0, 1.0, 0.4)
    return np.asarray(radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def _drawings() -> dict[str, Drawing]:
    strokes = {
        "bar-level": (_line((-1, 0), (1, 0)),),
        "bar-upright": (_line((0, -1), (0, 1)),),
        "bar-rising": (_line((-0.9, 0.9), (0.9, -0.9)),),
        "bar-falling": (_line((-0.9, -0.9), (0.9, 0.9)),),
        "bars-level": (_line((-0.9, -0.6), (0.9, -0.6)), _line((-0.9, 0.6), (0.9, 0.6))),
        "bars-upright": (_line((-0.6, -0.9), (-0.6, 0.9)), _line((0.6, -0.9), (0.6, 0.9))),
        "corner-ne": (_line((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8)),),
        "corner-nw": (_line((0.8, -0.8), (-0.8, -0.8), (-0.8, 0.8)),),
        "corner-se": (_line((0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),),
        "corner-sw": (_line((-0.8, -0.8), (-0.8, 0.8), (0.8, 0.8)),),
        "cross": (_line((-0.9, 0), (0.9, 0)), _line((0, -0.9), (0, 0.9))),
        "saltire": (_line((-0.8, -0.9), (0.8, 0.9)), _line((-0.8, 0.9), (0.8, -0.9))),
        "tee-down": (_line((-0.9, -0.8), (0.9, -0.8)), _line((0, -0.8), (0, 0.9))),
        "tee-up": (_line((-0.9, 0.8), (0.9, 0.8)), _line((0, 0.8), (0, -0.9))),
        "tee-right": (_line((-0.8, -0.9), (-0.8, 0.9)), _line((-0.8, 0), (0.9, 0))),
        "tee-left": (_line((0.8, -0.9), (0.8, 0.9)), _line((0.8, 0), (-0.9, 0))),
        "vee-down": (_line((-0.8, -0.9), (0, 0.9), (0.8, -0.9)),),
        "vee-up": (_line((-0.8, 0.9), (0, -0.9), (0.8, 0.9)),),
        "zigzag": (_line((-0.8, -0.9), (0.8, -0.4), (-0.8, 0.4), (0.8, 0.9)),),
        "arch-up": (_arc(180, 360),),
        "arch-down": (_arc(0, 180),),
        "arch-left": (_arc(90, 270),),
        "arch-right": (_arc(-90, 90),),
        "gap-right": (_arc(45, 315),),
        "gap-left": (_arc(-135, 135),),
        "gap-up": (_arc(-45, 225),),
        "hook-top": (_arc(180, 360, radius=0.5, y=-0.4), _line((0.5, -0.4), (0.5, 1))),
        "hook-bottom": (_arc(0, 180, radius=0.5, y=0.4), _line((0.5, 0.4), (0.5, -1))),
        "ring": (_arc(0, 360),),
        "triangle": (_polygon(3),),
        "square": (_line((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8), (-0.8, -0.8)),),
        "diamond": (_polygon(4),),
        "spiral": (_spiral(),),
        "wave": (_wave(),),
    }
    filled = {"disc": _arc(0, 360), "block": _polygon(4), "wedge": _polygon(3), "star": _star()}
    return {
        **{name: Drawing(lines) for name, lines in strokes.items()},
        **{name: Drawing((outline,), filled=True) for name, outline in filled.items()},
    }


DRAWINGS: Mapping[str, Drawing] = MappingProxyType(_drawings())
"""Every class by its label."""


def shape_rows(num_images: int, seed: int) -> Iterator[tuple[bytes, str]]:
    """`num_images` pictures with their labels, as (PNG bytes, label); the same for the same seed.

    Labels take turns, so that classes are as equal in number as `num_images` allows.
    """
    random = np.random.default_rng(seed)
    labels = tuple(DRAWINGS)
    for index in range(num_images):
        label = labels[index % len(labels)]
        yield _png(_light(_render(DRAWINGS[label], random), random)), label


def _render(drawing: Drawing, random: np.random.Generator) -> NDArray[np.float64]:
    """The drawing under a random affine map, as an 8x8 picture from 0 (paper) to 1 (ink)."""
    canvas = Image.new("L", (_CANVAS_PIXELS, _CANVAS_PIXELS), 0)
    pen = ImageDraw.Draw(canvas)
    width = int(random.integers(5, 15))
    matrix, offset = _affine(random)
    for line in drawing.lines:
        bent = line + 0.08 * random.standard_normal(line.shape) * (len(line) < 10)
        corners = [tuple(corner) for corner in (bent @ matrix.T + offset).tolist()]
        if drawing.filled:
            pen.polygon(corners, fill=255)
        else:
            pen.line(corners, fill=255, width=width, joint="curve")
    small = canvas.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _affine(random: np.random.Generator) -> tuple[Points, Points]:
    """From the drawing's square to pixels of the canvas: rotation, slant, two scales, shift."""
    half = _CANVAS_PIXELS / 2
    angle = np.radians(random.uniform(-20, 20))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    slant = np.array([[1.0, random.uniform(-0.3, 0.3)], [0.0, 1.0]])
    scales = np.diag(half * random.uniform((0.4, 0.55), (0.9, 1.0)))
    room = half - scales.diagonal()
    return rotation @ slant @ scales, half + random.uniform(-0.7, 0.7, size=2) * room


def _light(ink: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint8]:
    """Ink under random contrast, brightness and noise; a share of pictures dark on bright."""
    contrast = random.uniform(0.6, 1.3)
    picture = ink * contrast + random.uniform(0.0, 0.15)
    picture = np.clip(picture + 0.03 * random.standard_normal(ink.shape), 0, 1)
    if random.random() < _INVERTED_SHARE:
        picture = 1 - picture
    return np.asarray(np.rint(255 * picture), dtype=np.uint8)


def _png(picture: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()
