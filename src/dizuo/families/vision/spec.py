"""What the vision family takes and refuses. Light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dizuo.artifacts.model import Level
from dizuo.core.errors import InvalidInput
from dizuo.families.base import Problem, RecipeSchema, Row
from dizuo.families.vision import recipe
from dizuo.families.vision.imaging import decode, encode_png
from dizuo.families.vision.protocol import bytes_request, request_images

NAME = "vision"
CODE_VERSION = 3
"""Raised when the same recipe and data would become other bytes; see `families.base.Spec`.

2: 16-bit grey pictures are scaled, not clipped; a last batch of one row is left out of pretraining.
3: trained answers tell how likely the model found each class.
"""
PROTOCOL: Literal["open-inference", "openai"] = "open-inference"
TARGETS: tuple[str, ...] = ("safetensors", "onnx")
COLUMNS: tuple[str, ...] = ("image", "label")
NEAR_DUPLICATE_SIMILARITY = 0.995
"""Between the nearest two different ones of scikit-learn's 1,797 digits (0.9942) and copies that
were only re-encoded or lit a little differently (0.9987 and above)."""

_FINGERPRINT_SIDE = 16
_MAX_LABEL_CHARACTERS = 200


def check_recipe(
    level: Level,
    method: Mapping[str, Any],
    task: Mapping[str, Any],
    *,
    replays: bool = False,  # noqa: ARG001 - every method may
) -> list[Problem]:
    """Every problem of a recipe's `method` and `task`; see `dizuo.families.vision.recipe`."""
    return recipe.check(level, method, task)


def recipe_schema(level: Level) -> RecipeSchema:
    """What a recipe of this level may say under `method` and `task`."""
    return recipe.schema(level)


def check_row(row: Row) -> str:
    """Why a row cannot be used, one clause without a full stop, or an empty string."""
    image, label = row.get("image"), row.get("label")
    if not isinstance(image, bytes):
        return "there is no image"
    if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
        return "the label is neither text nor a whole number"
    if len(str(label)) > _MAX_LABEL_CHARACTERS:
        return f"the label has more than {_MAX_LABEL_CHARACTERS} characters"
    try:
        decode(image, 1)
    except InvalidInput as error:
        return error.message[0].lower() + error.message[1:].removesuffix(".")
    return ""


def fingerprints(rows: Sequence[Row]) -> NDArray[np.float32]:
    """Each picture as 16x16 grey, zero mean, unit norm: shape (rows, 256).

    The dot product of two is their correlation, so neither brightness nor contrast matters. All
    pictures of one flat colour share one vector.
    """
    vectors = np.stack([_grey(row["image"]) for row in rows]) if rows else np.empty((0, 256))
    vectors -= vectors.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = norms < 1e-3
    unit = np.where(flat, 1 / _FINGERPRINT_SIDE, vectors / np.where(flat, 1, norms))
    return np.asarray(unit, dtype=np.float32)


def _grey(data: bytes) -> NDArray[np.float64]:
    picture = Image.fromarray(decode(data, 1)[:, :, 0]).convert("F")
    size = (_FINGERPRINT_SIDE, _FINGERPRINT_SIDE)
    small = picture.resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).ravel()


def truth(row: Row) -> str:
    """The row's label, as text."""
    return str(row["label"])


def request(rows: Sequence[Row]) -> dict[str, Any]:
    """The request that asks an engine about the rows' pictures."""
    return bytes_request([row["image"] for row in rows])


def rows(request: Mapping[str, Any], indices: Sequence[int]) -> list[dict[str, Any]]:
    """The pictures at `indices` of a request, as `{"image": <PNG or JPEG bytes>}`.

    Files are kept byte for byte; pixels become PNG.

    Raises:
        InvalidInput: the request does not have the family's form.
    """
    images = request_images(request)
    if isinstance(images, list):
        return [{"image": images[index]} for index in indices]
    return [{"image": encode_png(images[index])} for index in indices]
