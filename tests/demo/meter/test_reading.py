"""Reading meters over HTTP: one request an image, and a bar that says how many are read."""

from __future__ import annotations

import httpx2
import numpy as np
import pytest

from dizuo.core.progress import Progress
from dizuo.demo.measure import SiteSilent
from dizuo.demo.meter.digits import Labelled
from dizuo.demo.meter.reading import read_meters, score_site

IMAGES = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8, 1)


def site(asked: list[httpx2.Request], status: int = 200) -> httpx2.Client:
    """A site that says `7` to everything."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        outputs = [{"name": "label", "data": ["7"]}, {"name": "confidence", "data": [0.5]}]
        body = {"outputs": outputs, "parameters": {"stack_digest": "sha256:1"}}
        return httpx2.Response(status, json=body)

    return httpx2.Client(base_url="http://site", transport=httpx2.MockTransport(answer))


def test_images_read_of_all_are_told() -> None:
    asked: list[httpx2.Request] = []
    events: list[Progress] = []
    with site(asked) as client:
        readings = read_meters(client, "m", IMAGES, sample=True, report=events.append)
    assert [reading.label for reading in readings] == ["7"] * 3
    assert [(e.stage, e.done, e.total, e.unit) for e in events] == [
        ("read", done, 3, "image") for done in range(4)
    ]
    assert [str(request.url.path) for request in asked] == ["/v2/models/m/infer"] * 3
    assert not any("dizuo-sample" in request.headers for request in asked)


def test_a_score_is_not_sampled_and_told_too() -> None:
    asked: list[httpx2.Request] = []
    events: list[Progress] = []
    with site(asked) as client:
        score = score_site(client, "m", Labelled(IMAGES, ("7", "1", "7")), events.append)
    assert score.score == pytest.approx(2 / 3)
    assert events[-1].done == events[-1].total == 3
    assert {request.headers["dizuo-sample"] for request in asked} == {"no"}


def test_a_site_that_does_not_answer_is_named() -> None:
    with site([], status=503) as client, pytest.raises(SiteSilent, match=r"http://site.*503"):
        read_meters(client, "m", IMAGES, sample=False)
