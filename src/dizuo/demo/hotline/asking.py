"""Tickets read over OpenAI's protocol, as an application reads them, by what a site serves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import httpx2

from dizuo.core.progress import Progress, Reporter, silent
from dizuo.demo.hotline.model import Row
from dizuo.demo.measure import Score, SiteSilent

CALLERS = 8
"""Who ask at the same time."""


@dataclass(frozen=True, slots=True)
class Note:
    """One answer of a site: its text, its confidence, and the digest of the stack that gave it."""

    text: str
    confidence: float
    stack_digest: str

    @property
    def label(self) -> Any:
        """What the text says as JSON; None where it is none."""
        try:
            return json.loads(self.text)
        except json.JSONDecodeError:
            return None


def read_tickets(
    client: httpx2.Client,
    model: str,
    rows: Sequence[Row],
    *,
    sample: bool,
    callers: int = 1,
    report: Reporter = silent,
) -> list[Note]:
    """Ask a site's inference address about each row's prompt, one request for each, by so many
    callers at once.

    Without `sample` the site is told that these are measurements, so that none is ever returned to
    the hub and learned from.

    Raises:
        SiteSilent: it answered something else than 200.
    """
    headers = {} if sample else {"Dizuo-Sample": "no"}
    notes: list[Note] = []
    report(Progress("read", 0, len(rows), "ticket"))
    with ThreadPoolExecutor(callers) as pool:
        for note in pool.map(lambda row: _read_one(client, model, row, headers), rows):
            notes.append(note)
            report(Progress("read", len(notes), len(rows), "ticket"))
    return notes


def _read_one(client: httpx2.Client, model: str, row: Row, headers: Mapping[str, str]) -> Note:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": row["prompt"]}],
        "temperature": 0,
    }
    answer = client.post("/v1/chat/completions", json=body, headers=dict(headers))
    if answer.status_code != 200:
        raise SiteSilent(f"{client.base_url} answered {answer.status_code}: {answer.text[:200]}")
    reply = answer.json()
    text = reply["choices"][0]["message"]["content"]
    return Note(text, reply["confidence"], reply["stack_digest"])


@dataclass(frozen=True, slots=True)
class Reading:
    """How often a site noted all of a ticket right, and the mean confidence that it told."""

    score: Score
    confidence: float


def score_city(
    client: httpx2.Client, model: str, rows: Sequence[Row], report: Reporter = silent
) -> Reading:
    """Read tickets, which are not sampled."""
    notes = read_tickets(client, model, rows, sample=False, callers=CALLERS, report=report)
    num_right = sum(note.label == row["label"] for note, row in zip(notes, rows, strict=True))
    return Reading(Score.of(num_right, len(rows)), fmean(note.confidence for note in notes))
