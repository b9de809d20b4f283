"""Open Inference Protocol bodies: two forms in, one out, everything else refused."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.errors import InvalidInput
from dizuo.families.vision.imaging import encode_png
from dizuo.families.vision.protocol import (
    MAX_ROWS,
    bytes_request,
    metadata,
    request_images,
    request_pictures,
    response,
)

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1)
FILES = [encode_png(picture) for picture in PIXELS]


def tensor(**changes: Any) -> dict[str, Any]:
    whole = {
        "name": "image",
        "datatype": "UINT8",
        "shape": [2, 3, 4, 1],
        "data": PIXELS.ravel().tolist(),
    }
    return {"inputs": [{**whole, **changes}]}


@pytest.mark.parametrize("data", [PIXELS.tolist(), PIXELS.ravel().tolist()], ids=["nested", "flat"])
def test_pixels_nested_or_flat(data: Any) -> None:
    assert np.array_equal(np.stack(request_pictures(tensor(data=data), 1)), PIXELS)


def test_files() -> None:
    request = bytes_request(FILES)
    assert np.array_equal(np.stack(request_pictures(request, 1)), PIXELS)
    assert request_images(request) == FILES


def test_files_may_differ_in_size_and_channels_follow_the_network() -> None:
    request = bytes_request([FILES[0], encode_png(np.zeros((9, 9, 3), dtype=np.uint8))])
    assert [picture.shape for picture in request_pictures(request, 3)] == [(3, 4, 3), (9, 9, 3)]
    assert request_pictures(tensor(), 3)[0].shape == (3, 4, 3)


def files(data: Any, **changes: Any) -> dict[str, Any]:
    return tensor(**{"datatype": "BYTES", "shape": [1], "data": data, **changes})


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "exactly one input"),
    "no inputs": ({"inputs": []}, "exactly one input"),
    "two inputs": ({"inputs": [tensor()["inputs"][0]] * 2}, "exactly one input"),
    "an input that is text": ({"inputs": ["image"]}, "exactly one input"),
    "inputs as a mapping": ({"inputs": {"name": "image"}}, "exactly one input"),
    "another name": (tensor(name="picture"), "no input named 'picture'"),
    "another datatype": (tensor(datatype="FP32"), "cannot be FP32"),
    "a datatype that is a list": (tensor(datatype=[]), "cannot be"),
    "no datatype": (tensor(datatype=None), "cannot be None"),
    "no shape": (tensor(shape=None), "shape of 'image' is wrong"),
    "three dimensions": (tensor(shape=[2, 3, 4]), "shape of 'image' is wrong"),
    "a negative size": (tensor(shape=[2, 3, -4, 1]), "shape of 'image' is wrong"),
    "no rows": (tensor(shape=[0, 3, 4, 1], data=[]), "shape of 'image' is wrong"),
    "a size that is true": (tensor(shape=[2, 3, 4, True]), "shape of 'image' is wrong"),
    "a size that is a fraction": (tensor(shape=[2, 3, 4.0, 1]), "shape of 'image' is wrong"),
    "five channels": (tensor(shape=[2, 3, 4, 5]), "cannot have 5 channels"),
    "too many rows": (tensor(shape=[MAX_ROWS + 1, 1, 1, 1]), "at most 256 are taken"),
    "too many pixels": (tensor(shape=[1, 5000, 5000, 1]), "25,000,000 pixels"),
    "too little data": (tensor(data=[1, 2, 3]), "24 whole numbers"),
    "data as text": (tensor(data="AAAA"), "is not a list"),
    "no data": (tensor(data=None), "is not a list"),
    "ragged data": (tensor(data=[[1, 2], [3]]), "24 whole numbers"),
    "fractions": (tensor(data=[0.5] * 24), "24 whole numbers"),
    "truths": (tensor(data=[True] * 24), "24 whole numbers"),
    "texts": (tensor(data=["1"] * 24), "24 whole numbers"),
    "numbers beyond 64 bits": (tensor(data=[2**70] * 24), "24 whole numbers"),
    "256": (tensor(data=[256] * 24), "not between 0 and 255"),
    "-1": (tensor(data=[-1] * 24), "not between 0 and 255"),
    "fewer files than rows": (files([], shape=[2]), "not a list of 2 texts"),
    "one file that is not in a list": (files("AAAA"), "not a list of 1 texts"),
    "a file that is a number": (files([7]), "not base64 text"),
    "not base64": (files(["%%%"]), "An image is not base64 text"),
    "not ASCII": (files(["图"]), "An image is not base64 text"),
    "not a picture": (files([base64.b64encode(b"hello").decode()]), "cannot be read"),
    "a file of 10 MB": (files(["A" * 14_000_000]), "at most 8,000,000 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_in_one_sentence(name: str) -> None:
    request, says = BAD[name]
    with pytest.raises(InvalidInput, match=says) as caught:
        request_pictures(request, 1)
    assert caught.value.message.endswith(".")
    assert caught.value.next_step


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(
    shape=json_values | st.lists(st.integers(-1, 4), min_size=1, max_size=5),
    datatype=st.sampled_from(["UINT8", "BYTES"]) | json_values,
    data=json_values | st.lists(st.integers(-1, 256)) | st.lists(st.text(max_size=8)),
)
def test_no_body_breaks_the_parser(shape: Any, datatype: Any, data: Any) -> None:
    request = tensor(shape=shape, datatype=datatype, data=data)
    try:
        pictures = request_pictures(request, 1)
    except InvalidInput:
        return
    assert len(pictures) == shape[0]


def test_the_response_has_label_confidence_and_probabilities() -> None:
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32)
    body = response({"id": "r1", "inputs": []}, ("meter", 3), ("a", "b"), probabilities)
    assert body == {
        "model_name": "meter",
        "model_version": "3",
        "id": "r1",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["b", "a"]},
            {"name": "confidence", "datatype": "FP32", "shape": [2], "data": [0.75, 0.5]},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [2, 2],
                "data": [0.25, 0.75, 0.5, 0.5],
            },
        ],
    }
    assert "id" not in response({"id": 4}, ("meter", 3), ("a", "b"), probabilities)


def test_the_metadata_names_the_labels_in_order() -> None:
    described = metadata(("meter", 3), ("a", "b"), 1)
    assert described["name"] == "meter"
    assert described["versions"] == ["3"]
    assert described["inputs"][0]["shape"] == [-1, -1, -1, 1]
    assert described["outputs"][2]["shape"] == [-1, 2]
    assert described["parameters"]["labels"] == ["a", "b"]
