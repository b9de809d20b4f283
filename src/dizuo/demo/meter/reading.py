"""Meters read over HTTP, as an application reads them, from the stack that a site serves."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2
import numpy as np

from dizuo.core.progress import Progress, Reporter, silent
from dizuo.demo.measure import Score, SiteSilent
from dizuo.demo.meter.digits import Images, Labelled


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer of a site: the label, its confidence, and the digest of the stack that gave it."""

    label: str
    confidence: float
    stack_digest: str


def read_meters(
    client: httpx2.Client,
    model: str,
    images: Images,
    *,
    sample: bool,
    report: Reporter = silent,
) -> list[Reading]:
    """Ask a site's inference address about each image, one request for each.

    Without `sample` the site is told that these are measurements, so that none is ever returned to
    the hub and learned from.

    Raises:
        SiteSilent: it answered something else than 200.
    """
    headers = {} if sample else {"Dizuo-Sample": "no"}
    readings: list[Reading] = []
    report(Progress("read", 0, len(images), "image"))
    for image in images:
        readings.append(_read_one(client, model, image[np.newaxis], headers))
        report(Progress("read", len(readings), len(images), "image"))
    return readings


def _read_one(client: httpx2.Client, model: str, image: Images, headers: dict[str, str]) -> Reading:
    body = {
        "inputs": [
            {
                "name": "image",
                "datatype": "UINT8",
                "shape": list(image.shape),
                "data": image.ravel().tolist(),
            }
        ]
    }
    answer = client.post(f"/v2/models/{model}/infer", json=body, headers=headers)
    if answer.status_code != 200:
        raise SiteSilent(f"{client.base_url} answered {answer.status_code}: {answer.text[:200]}")
    reply = answer.json()
    outputs = {output["name"]: output["data"] for output in reply["outputs"]}
    digest = reply["parameters"]["stack_digest"]
    return Reading(outputs["label"][0], outputs["confidence"][0], digest)


def score_site(
    client: httpx2.Client, model: str, part: Labelled, report: Reporter = silent
) -> Score:
    """How often a site reads `part` right; the images are not sampled."""
    readings = read_meters(client, model, part.images, sample=False, report=report)
    pairs = zip(readings, part.labels, strict=True)
    return Score.of(sum(reading.label == label for reading, label in pairs), len(part))
