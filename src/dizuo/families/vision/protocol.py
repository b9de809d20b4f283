"""The Open Inference Protocol v2, as image classifiers speak it. Light.

A request carries one input named `image`, in one of two forms: `UINT8` pixels of shape
[n, height, width, channels], flat or nested, or `BYTES` of shape [n], each a PNG or JPEG in base64.
The protocol: https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dizuo.core.errors import InvalidInput
from dizuo.families.vision.imaging import (
    MAX_IMAGE_BYTES,
    MAX_IMAGE_PIXELS,
    Picture,
    decode,
    with_channels,
)

INPUT_NAME = "image"
MAX_ROWS = 256
MAX_REQUEST_PIXELS = MAX_IMAGE_PIXELS
_FORMS = "Send UINT8 pixels of shape [n, height, width, channels], or BYTES of shape [n]."


def bytes_request(images: Sequence[bytes]) -> dict[str, Any]:
    """The request that carries these PNG or JPEG files."""
    data = [base64.b64encode(image).decode("ascii") for image in images]
    tensor = {"name": INPUT_NAME, "datatype": "BYTES", "shape": [len(data)], "data": data}
    return {"inputs": [tensor]}


def request_pictures(request: Mapping[str, Any], num_channels: int) -> list[Picture]:
    """The pictures of a request, in order, with the number of channels the network takes.

    Raises:
        InvalidInput: the request does not have one of the two forms, or exceeds a bound.
    """
    tensor, shape = _image_tensor(request)
    if tensor.get("datatype") == "UINT8":
        return list(with_channels(_pixels(tensor.get("data"), shape), num_channels))
    pictures = [decode(image, num_channels) for image in _files(tensor.get("data"), shape)]
    _check_total(sum(picture.shape[0] * picture.shape[1] for picture in pictures))
    return pictures


def request_images(request: Mapping[str, Any]) -> list[bytes] | NDArray[np.uint8]:
    """What a request carries, undecoded: its files, or its pixels as one array.

    Raises:
        InvalidInput: as `request_pictures`.
    """
    tensor, shape = _image_tensor(request)
    if tensor.get("datatype") == "UINT8":
        return _pixels(tensor.get("data"), shape)
    return _files(tensor.get("data"), shape)


def _image_tensor(request: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[int]]:
    tensors = request.get("inputs")
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], Mapping):
        raise InvalidInput(
            "The request does not have exactly one input.",
            next_step=f"Send one input named {INPUT_NAME!r}.",
        )
    tensor: Mapping[str, Any] = tensors[0]
    if tensor.get("name") != INPUT_NAME:
        raise InvalidInput(
            f"There is no input named {str(tensor.get('name'))[:80]!r}.",
            next_step=f"Send one input named {INPUT_NAME!r}.",
        )
    return tensor, _shape(tensor)


def _shape(tensor: Mapping[str, Any]) -> list[int]:
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    ranks = {"UINT8": 4, "BYTES": 1}
    if not isinstance(datatype, str) or datatype not in ranks:
        raise InvalidInput(
            f"The input {INPUT_NAME!r} cannot be {str(datatype)[:20]}.", next_step=_FORMS
        )
    if (
        not isinstance(shape, list)
        or len(shape) != ranks[datatype]
        or not all(type(size) is int and size >= 1 for size in shape)
    ):
        raise InvalidInput(f"The shape of {INPUT_NAME!r} is wrong.", next_step=_FORMS)
    if shape[0] > MAX_ROWS:
        raise InvalidInput(
            f"The request has {shape[0]} rows; at most {MAX_ROWS} are taken.",
            next_step="Split it into several requests.",
        )
    return shape


def _pixels(data: object, shape: list[int]) -> NDArray[np.uint8]:
    if shape[3] not in (1, 3):
        raise InvalidInput(
            f"A picture cannot have {shape[3]} channels.", next_step="Send 1 (grey) or 3 (RGB)."
        )
    _check_total(math.prod(shape[:3]))
    if not isinstance(data, list):
        raise InvalidInput(f"The data of {INPUT_NAME!r} is not a list.", next_step=_FORMS)
    try:
        values = np.asarray(data)
    except ValueError:  # numpy refuses lists of unequal length
        values = np.asarray(None)
    if values.dtype.kind not in "iu" or values.size != math.prod(shape):
        raise InvalidInput(
            f"The data of {INPUT_NAME!r} does not have the {math.prod(shape)} whole numbers that "
            "its shape asks for.",
            next_step=_FORMS,
        )
    if values.min() < 0 or values.max() > 255:
        raise InvalidInput("A pixel is not between 0 and 255.", next_step=_FORMS)
    return values.astype(np.uint8).reshape(shape)


def _files(data: object, shape: list[int]) -> list[bytes]:
    if not isinstance(data, list) or len(data) != shape[0]:
        raise InvalidInput(
            f"The data of {INPUT_NAME!r} is not a list of {shape[0]} texts.", next_step=_FORMS
        )
    return [_file(text) for text in data]


def _file(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise InvalidInput(
            f"An image is not base64 text of at most {MAX_IMAGE_BYTES:,} bytes.", next_step=_FORMS
        )
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("An image is not base64 text.", next_step=_FORMS) from error


def _check_total(num_pixels: int) -> None:
    if num_pixels > MAX_REQUEST_PIXELS:
        raise InvalidInput(
            f"The request has {num_pixels:,} pixels; at most {MAX_REQUEST_PIXELS:,} are taken.",
            next_step="Split it into several requests.",
        )


def response(
    request: Mapping[str, Any],
    model: tuple[str, int],
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
) -> dict[str, Any]:
    """The response body: per row its label, its confidence and the probability of every label.

    `probabilities` has shape (rows, labels); `model` is the name served and its version.
    """
    rows, classes = probabilities.shape
    best = probabilities.argmax(axis=1)
    body: dict[str, Any] = {"model_name": model[0], "model_version": str(model[1])}
    if isinstance(request.get("id"), str):
        body["id"] = request["id"]
    body["outputs"] = [
        _tensor("label", "BYTES", [rows], [labels[index] for index in best]),
        _tensor("confidence", "FP32", [rows], probabilities.max(axis=1).tolist()),
        _tensor("probabilities", "FP32", [rows, classes], probabilities.ravel().tolist()),
    ]
    return body


def _tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def metadata(model: tuple[str, int], labels: Sequence[str], num_channels: int) -> dict[str, Any]:
    """The model metadata response; `parameters` carries the labels, in the order of
    `probabilities`."""
    return {
        "name": model[0],
        "versions": [str(model[1])],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT_NAME, "datatype": "UINT8", "shape": [-1, -1, -1, num_channels]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "confidence", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(labels)]},
        ],
        "parameters": {"labels": list(labels)},
    }
