"""Bad HTTP at a site: one sentence each, and the next good request is answered as before."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.e2e.pictures import one_picture
from tests.e2e.refusals import one_clear_sentence
from tests.e2e.site import MAX_REQUEST_BYTES, RunningSite, request

INFER = "/v2/models/reader/infer"
PICTURE = base64.b64encode(one_picture(7)).decode()
FORMS = "Send UINT8 pixels of shape"


def told(response: httpx2.Response, status: int, code: str) -> tuple[str, str]:
    """Message and next step; below /v2 the protocol's `error` is both in one text, and the message
    elsewhere."""
    assert response.status_code == status, response.text
    body = response.json()
    if response.url.path.startswith("/v2"):
        assert body["error"] == f"{body['message']} {body['next_step']}".strip()
    else:
        body = body["error"]
    assert body["code"] == code, body
    message = body["message"].removesuffix(body["next_step"]).strip()
    one_clear_sentence(message)
    return message, body["next_step"]


def pixels(shape: list[int], data: list[Any]) -> dict[str, Any]:
    return request(datatype="UINT8", shape=shape, data=data)


# the body: what is said, the next step
BODIES: dict[str, tuple[dict[str, Any] | list[Any] | bytes, str, str]] = {
    "not JSON": (b"{nope", "The request body is not JSON.", "Open Inference Protocol"),
    "nothing": (b"", "The request body is not JSON.", "Open Inference Protocol"),
    "not text": (b"\xff\xfe", "The request body is not JSON.", "Open Inference Protocol"),
    "nested without end": (b"[" * 90_000, "The request body is not JSON.", "Open Inference"),
    "a number without end": (
        b'{"inputs": [{"shape": [' + b"9" * 5000 + b"]}]}",
        "The request body is not JSON.",
        "Open Inference Protocol",
    ),
    "a list": ([1], "The request body is not a JSON object.", "Open Inference Protocol"),
    "no input": ({}, "The request does not have exactly one input.", "named 'image'"),
    "two inputs": (
        {"inputs": request()["inputs"] * 2},
        "The request does not have exactly one input.",
        "named 'image'",
    ),
    "an unknown input": (
        request(name="picture"),
        "There is no input named 'picture'.",
        "named 'image'",
    ),
    "a wrong datatype": (request(datatype="FP32"), "The input 'image' cannot be FP32.", FORMS),
    "a datatype that is none": (request(datatype=7), "The input 'image' cannot be 7.", FORMS),
    "a shape of the wrong rank": (request(shape=[1, 1]), "The shape of 'image' is wrong.", FORMS),
    "a negative shape": (request(shape=[-1]), "The shape of 'image' is wrong.", FORMS),
    "a shape that is text": (request(shape="one"), "The shape of 'image' is wrong.", FORMS),
    "a shape of other data": (
        request(shape=[2]),
        "The data of 'image' is not a list of 2 texts.",
        FORMS,
    ),
    "too few pixels": (
        pixels([1, 8, 8, 1], [1, 2, 3]),
        "The data of 'image' does not have the 64 whole numbers that its shape asks for.",
        FORMS,
    ),
    "a pixel that is too bright": (
        pixels([1, 1, 1, 1], [300]),
        "A pixel is not between 0 and 255.",
        FORMS,
    ),
    "four channels": (
        pixels([1, 1, 1, 4], [1, 2, 3, 4]),
        "A picture cannot have 4 channels.",
        "1 (grey) or 3 (RGB)",
    ),
    "too many rows": (
        request(shape=[300], data=[""] * 300),
        "The request has 300 rows; at most 256 are taken.",
        "several requests",
    ),
    "no base64": (request(data=["%%%"]), "An image is not base64 text.", FORMS),
    "no image": (
        request(data=[base64.b64encode(b"nope").decode()]),
        "The image cannot be read.",
        "a whole PNG or JPEG",
    ),
    "an image that was cut": (
        request(data=[PICTURE[:80]]),
        "The image cannot be read.",
        "a whole PNG or JPEG",
    ),
}


@pytest.mark.parametrize("case", BODIES.values(), ids=list(BODIES))
def test_a_body_that_cannot_be_answered(
    site: RunningSite, case: tuple[dict[str, Any] | list[Any] | bytes, str, str]
) -> None:
    body, says, next_step = case
    before = site.answer()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    message, step = told(site.http.post(INFER, content=content), 400, "invalid_input")
    assert message == says
    assert next_step in step
    assert site.answer() == before


def test_a_body_that_is_too_large(site: RunningSite) -> None:
    before = site.answer()

    def unannounced() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(MAX_REQUEST_BYTES // 2)

    for content in (bytes(MAX_REQUEST_BYTES + 1), unannounced()):
        message, step = told(site.http.post(INFER, content=content), 413, "too_large")
        assert f"larger than the {MAX_REQUEST_BYTES} bytes accepted here" in message
        assert step == "Send fewer rows at a time."
    assert site.answer() == before


# method and path: the status, the code, what is said, the next step
ADDRESSES: dict[str, tuple[str, str, int, str, str, str]] = {
    "an unknown model": (
        "POST",
        "/v2/models/nobody/infer",
        404,
        "unknown_model",
        "This site serves no model 'nobody'.",
        "It serves: reader.",
    ),
    "metadata of an unknown model": (
        "GET",
        "/v2/models/nobody",
        404,
        "unknown_model",
        "This site serves no model 'nobody'.",
        "It serves: reader.",
    ),
    "readiness of an unknown model": (
        "GET",
        "/v2/models/nobody/ready",
        404,
        "unknown_model",
        "This site serves no model 'nobody'.",
        "It serves: reader.",
    ),
    "a version that is not served": (
        "POST",
        "/v2/models/reader/versions/99/infer",
        404,
        "unknown_model",
        "This site serves reader in version 1, not '99'.",
        "Leave the version out",
    ),
    "a wrong method": (
        "GET",
        INFER,
        405,
        "invalid_input",
        "GET is not for this address.",
        "Use POST.",
    ),
    "a wrong method outside /v2": (
        "POST",
        "/v1/models",
        405,
        "invalid_input",
        "POST is not for this address.",
        "Use GET or HEAD.",
    ),
    "a bad path": (
        "GET",
        "/nowhere",
        404,
        "not_found",
        "There is nothing at this address.",
        "See GET /v2 and /v1/models.",
    ),
    "a bad path below /v2": (
        "GET",
        "/v2/nowhere",
        404,
        "not_found",
        "There is nothing at this address.",
        "See GET /v2 and /v1/models.",
    ),
    "a path that leads out": (
        "GET",
        "/v2/models/..%2f..%2fetc",
        404,
        "not_found",
        "There is nothing at this address.",
        "",
    ),
}


@pytest.mark.parametrize("case", ADDRESSES.values(), ids=list(ADDRESSES))
def test_an_address_that_is_not_there(
    site: RunningSite, case: tuple[str, str, int, str, str, str]
) -> None:
    method, path, status, code, says, next_step = case
    before = site.answer()
    body = request() if method == "POST" else None
    message, step = told(site.http.request(method, path, json=body), status, code)
    assert message == says
    assert next_step in step
    assert site.answer() == before


def test_a_body_that_is_compressed(site: RunningSite) -> None:
    headers = {"content-encoding": "gzip"}
    answer = site.http.post(INFER, content=b"x", headers=headers)
    message, step = told(answer, 400, "invalid_input")
    assert message == "Compressed request bodies are not accepted."
    assert "without Content-Encoding" in step
