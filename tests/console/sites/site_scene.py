"""A fleet as a hub would know it after two days: sites, releases, rollouts, samples, histories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session
from tests.console.conftest import Place
from tests.releases.stacks import gated
from tests.sites.fleet import Fleet

from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.datasets.store import SampleRow
from dizuo.releases.model import Release
from dizuo.releases.repository import Repository
from dizuo.sites.hours import HOUR_MS, KEPT_HOURS
from dizuo.sites.rollout_model import Rollout
from dizuo.sites.store import SITES, SiteHourRow

NUM_SITES = 60
SITES_NAMED = [f"mine-{number:02d}" for number in range(1, NUM_SITES + 1)]
BUSY, BROKEN, SILENT, DOUBLE = "mine-01", "mine-03", "mine-05", "mine-06"
FOREIGN = "mine-secret"
FIELDS: dict[str, Any] = {
    "egress_policy": "raw",
    "inference_url": "http://127.0.0.1:8500",
    "agent_version": "0.4.0",
    "bytes_first_install": 412_000_000,
    "bytes_last_update": 640_000,
    "samples_waiting": 12,
    "answers": 96_000,
}


@dataclass(frozen=True)
class Scene:
    """What the scene made."""

    fleet: Fleet
    old: Release
    new: Release
    first: Rollout
    second: Rollout


def fill(place: Place) -> Scene:
    """Sixty sites run one release, a second one is on its way to five of them."""
    fleet = Fleet(place.database, Repository(place.home))
    fleet.join(*SITES_NAMED, FOREIGN)
    with fleet.database.transaction() as session:
        _move(session, FOREIGN, project_id="other")
    old, new = fleet.release(version=1), fleet.release(version=2)
    fleet.withdraw(fleet.release("gauges", 1))
    first = fleet.start("meter-reading:1", "all")
    for name in SITES_NAMED:
        fleet.say(name, "serving", fleet.poll(name), **FIELDS)
    second = fleet.start("meter-reading:2", SITES_NAMED[:5])
    fleet.say("mine-02", "serving", fleet.poll("mine-02"), **FIELDS)
    fleet.fall_back(BROKEN)
    fleet.begin("mine-04")
    fleet.start("meter-reading:2", [DOUBLE], served_as="night")
    fleet.arrive(DOUBLE)
    with fleet.database.transaction() as session:
        gated(session, "hotline", 7)
        _move(session, SILENT, last_seen_ms=now_ms() - 7 * HOUR_MS // 2)
        _keep_history(session, fleet.site(BUSY).id)
        _return_samples(session, BUSY)
    return Scene(fleet, old, new, first, second)


def _move(session: Session, name: str, **values: object) -> None:
    session.execute(update(SITES).where(SITES.c.name == name).values(**values))


def _keep_history(session: Session, site_id: str) -> None:
    hour = now_ms() - now_ms() % HOUR_MS
    total = 96_000
    for past in range(1, KEPT_HOURS + 1):
        total -= int(900 + 800 * math.sin(past / 4))
        if past not in (20, 21):
            row = SiteHourRow(
                site_id=site_id, hour_ms=hour - past * HOUR_MS, project_id="default", answers=total
            )
            session.add(row)


def _return_samples(session: Session, site: str) -> None:
    now = now_ms()
    for number in range(220):
        at = now - number * KEPT_HOURS * HOUR_MS // 220
        reason = "control" if number % 5 == 0 else "novel" if number % 7 < 3 else "uncertain"
        session.add(
            SampleRow(
                id=new_id(),
                project_id="default",
                digest=sha256_bytes(f"sample {number}".encode()),
                site=site,
                family="vision",
                served_as="meter-reading",
                stack_digest=sha256_bytes(b"meter-reading"),
                answer={"label": "7"},
                confidence=0.55 + 0.3 * math.sin(number / 30),
                reason=reason,
                taken_ms=at,
                received_ms=at,
                state="returned",
                reviewer="",
            )
        )
