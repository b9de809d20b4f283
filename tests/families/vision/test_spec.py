"""Rows in, requests out, and which pictures are the same one again."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from tests.families.vision.factory import pixels, png, png_16, shapes

from dizuo.core.errors import InvalidInput
from dizuo.families import registry
from dizuo.families.vision import spec
from dizuo.families.vision.imaging import encode_png


def digits() -> Any:
    return np.rint(load_digits(return_X_y=True)[0] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)


def rows_of(images: Any) -> list[dict[str, Any]]:
    return [{"image": png(image)} for image in images]


def test_the_family_is_found_by_its_entry_point() -> None:
    assert registry.spec("vision").NAME == "vision"
    assert registry.spec("vision").TARGETS == ("safetensors", "onnx")


def test_different_digits_are_not_near_duplicates() -> None:
    prints = spec.fingerprints(rows_of(digits()))
    similarity = prints @ prints.T
    np.fill_diagonal(similarity, -1)
    assert similarity.max() < spec.NEAR_DUPLICATE_SIMILARITY


def reencoded(image: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=90)
    return stream.getvalue()


COPIES: dict[str, Callable[[Any], bytes]] = {
    "as another PNG": lambda image: png(image, compress_level=0),
    "as JPEG": reencoded,
    "a little brighter": lambda image: png(np.clip(image.astype(int) + 10, 0, 255)),
    "a little darker": lambda image: png(image * 0.9),
    "twice as large": lambda image: png(image.repeat(2, 0).repeat(2, 1)),
    "in 16 bits": lambda image: png_16(image.astype(np.uint16) * 257),
    "in colour": lambda image: png(image[:, :, None].repeat(3, 2)),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_near_duplicates(copy: str) -> None:
    images = digits()[:300]
    prints = spec.fingerprints(rows_of(images))
    copies = spec.fingerprints([{"image": COPIES[copy](image)} for image in images])
    assert (prints * copies).sum(axis=1).min() >= spec.NEAR_DUPLICATE_SIMILARITY


def test_fingerprints_are_unit_vectors_even_of_flat_pictures() -> None:
    prints = spec.fingerprints([*shapes(5), *rows_of([np.zeros((4, 4)), np.full((9, 9), 200)])])
    assert np.allclose(np.linalg.norm(prints, axis=1), 1, atol=1e-5)
    assert prints[5] @ prints[6] == pytest.approx(1)
    assert abs(prints[0] @ prints[5]) < 1e-5
    assert spec.fingerprints([]).shape == (0, 256)


GOOD = png(np.zeros((8, 8)))
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "good": ({"image": GOOD, "label": "7"}, ""),
    "a number": ({"image": GOOD, "label": 7}, ""),
    "no image": ({"label": "7"}, "there is no image"),
    "a path for an image": ({"image": "a.png", "label": "7"}, "there is no image"),
    "an empty file": ({"image": b"", "label": "7"}, "the image cannot be read"),
    "not a picture": ({"image": b"hello", "label": "7"}, "the image cannot be read"),
    "10 MB": ({"image": b"\0" * 10_000_000, "label": "7"}, "8,000,000 are taken"),
    "no label": ({"image": GOOD}, "neither text nor a whole number"),
    "an empty label": ({"image": GOOD, "label": ""}, "neither text nor a whole number"),
    "a fraction": ({"image": GOOD, "label": 0.5}, "neither text nor a whole number"),
    "a truth": ({"image": GOOD, "label": True}, "neither text nor a whole number"),
    "a long label": ({"image": GOOD, "label": "x" * 201}, "more than 200 characters"),
}


@pytest.mark.parametrize("name", ROWS)
def test_why_a_row_cannot_be_used(name: str) -> None:
    row, reason = ROWS[name]
    found = spec.check_row(row)
    assert reason in found
    assert bool(found) == bool(reason)
    assert not found.endswith(".")


def test_truth_is_the_label_as_text() -> None:
    assert spec.truth({"label": 7}) == "7"
    assert spec.truth({"label": "left"}) == "left"


def test_rows_of_a_request_are_its_pictures_again() -> None:
    rows = shapes(4)
    kept = spec.rows(spec.request(rows), [2, 0])
    assert kept == [{"image": rows[2]["image"]}, {"image": rows[0]["image"]}]


def test_rows_of_pixels_become_png() -> None:
    grid = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)
    tensor = {"name": "image", "datatype": "UINT8", "shape": [3, 4, 5, 3], "data": grid.tolist()}
    kept = spec.rows({"inputs": [tensor]}, [1])
    assert np.array_equal(pixels(kept[0]["image"]), grid[1])
    assert kept[0]["image"] == encode_png(grid[1])


def test_rows_of_a_broken_request_are_refused() -> None:
    with pytest.raises(InvalidInput):
        spec.rows({"inputs": []}, [0])
