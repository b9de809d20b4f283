"""Samples that a crowd's sites returned, and what reviewers did with them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.rig.crowd.learned import Version
from benchmarks.rig.crowd.rows import MINUTE_MS, Values
from benchmarks.rig.crowd.stacks import APPROVER
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets.samples import content_path
from dizuo.edge import wire

Reason = Literal["uncertain", "novel", "control"]
REASONS: tuple[Reason, ...] = ("uncertain", "novel", "control")
REVIEWERS = (APPROVER, *(f"person:reviewer-{number:02}" for number in range(1, 20)))
STATES = ("reviewed", "returned", "returned", "used", "returned", "returned")
"""Of six samples in turn."""
SECOND_EVERY = 10
"""Of so many reviewed samples one has a second opinion, and of so many of those one disagrees."""
_NUM_SKIPS_EACH = 50
_HELD_MS = 60 * MINUTE_MS
_NUM_MINUTES = 14 * 24 * 60
_CLASSES = "abcd"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sample comes from: the site's name, the stack's row, when it was taken and why."""

    site: str
    stack: Values
    taken_ms: int
    reason: Reason


def sample(home: Path, number: int, origin: Origin, draw: random.Random) -> Values:
    """One that waits, with its content in a hub's home; no two have one number."""
    prompt = f"Ticket {number}: water on the road near house {draw.randrange(1000)}."
    named, stack = draw.choice(_CLASSES), origin.stack
    content = wire.Sample(
        digest=wire.sample_digest({"prompt": prompt}, stack["digest"]),
        served_as=stack["name"],
        stack_digest=stack["digest"],
        family="text",
        row={"prompt": prompt},
        answer={"kind": named} if "kind: extract" in stack["recipe"] else named,
        confidence=round(draw.random(), 3),
        reason=origin.reason,
        taken_ms=origin.taken_ms,
    )
    path = content_path(home, content.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content.model_dump(mode="json")), encoding="utf-8")
    return _row(content, origin.site)


def _row(content: wire.Sample, site: str) -> Values:
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "digest": content.digest,
        "site": site,
        "family": content.family,
        "served_as": content.served_as,
        "stack_digest": content.stack_digest,
        "answer": content.answer,
        "confidence": content.confidence,
        "reason": content.reason,
        "taken_ms": content.taken_ms,
        "received_ms": content.taken_ms + 1000,
        "state": "returned",
        "label": None,
        "changed": None,
        "reviewer": "",
        "reviewed_ms": None,
        "dataset_version_id": None,
    }


def samples(
    home: Path,
    num_samples: int,
    made: tuple[Sequence[Values], Sequence[Values], Sequence[Version]],
    draw: random.Random,
) -> Iterator[Values]:
    """Of two weeks, in the STATES, from sites and stacks that are `made`; those that are used are
    in one of the dataset versions, which come third there."""
    sites, stacks, versions = made
    now = now_ms()
    for number in range(num_samples):
        taken_ms = now - draw.randrange(_NUM_MINUTES) * MINUTE_MS
        site, stack = draw.choice(sites)["name"], draw.choice(stacks)
        origin = Origin(site, stack, taken_ms, draw.choice(REASONS))
        row = sample(home, number, origin, draw)
        state = STATES[number % len(STATES)]
        if state != "returned":
            row |= reviewed(row, state, draw)
        if state == "used":
            row["dataset_version_id"] = draw.choice(versions).row["id"]
        yield row


def reviewed(row: Values, state: str, draw: random.Random) -> Values:
    """What changes once somebody has labelled a sample; one label in three is another than the
    model's answer."""
    is_changed = draw.randrange(3) == 0
    return {
        "state": state,
        "label": _other(row["answer"]) if is_changed else row["answer"],
        "changed": is_changed,
        "reviewer": draw.choice(REVIEWERS),
        "reviewed_ms": row["taken_ms"] + 2000,
    }


def _other(label: str | dict[str, str]) -> str | dict[str, str]:
    """Another answer of the same kind."""
    if isinstance(label, dict):
        return {name: str(_other(value)) for name, value in label.items()}
    return _CLASSES[(_CLASSES.index(label) + 1) % len(_CLASSES)]


def opinions(rows: Sequence[Values], draw: random.Random) -> Iterator[Values]:
    """Second opinions on some of the samples that were reviewed."""
    judged = [row for row in rows if row["state"] == "reviewed"]
    for number, row in enumerate(judged[::SECOND_EVERY]):
        said = _other(row["label"]) if number % SECOND_EVERY == 0 else row["label"]
        yield {
            "id": new_id(),
            "project_id": DEFAULT_PROJECT,
            "sample_id": row["id"],
            "served_as": row["served_as"],
            "first_reviewer": row["reviewer"],
            "first_said": canonical_json(row["label"]).decode(),
            "reviewer": draw.choice([one for one in REVIEWERS if one != row["reviewer"]]),
            "said": canonical_json(said).decode(),
            "is_class": isinstance(said, str),
            "agrees": said == row["label"],
            "given_ms": row["reviewed_ms"] + 60_000,
            "settled_by": "",
            "settled_ms": None,
        }


def claims(rows: Sequence[Values]) -> Iterator[Values]:
    """What each reviewer but the one who opens the pages has before them."""
    waiting = [row for row in rows if row["state"] == "returned"]
    for reviewer, row in zip(REVIEWERS[1:], waiting, strict=False):
        yield {
            "sample_id": row["id"],
            "project_id": DEFAULT_PROJECT,
            "reviewer": reviewer,
            "token": new_id(),
            "look": "first",
            "until_ms": now_ms() + _HELD_MS,
        }


def skips(rows: Sequence[Values], draw: random.Random) -> Iterator[Values]:
    """What each reviewer does not want to see for a while."""
    waiting = [row for row in rows if row["state"] == "returned"]
    for reviewer in REVIEWERS:
        for row in draw.sample(waiting, min(_NUM_SKIPS_EACH, len(waiting) // 2)):
            yield {
                "sample_id": row["id"],
                "reviewer": reviewer,
                "until_ms": now_ms() + _HELD_MS,
            }
