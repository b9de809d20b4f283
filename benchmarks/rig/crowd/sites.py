"""A crowd's sites: what they run and ran, what they answered, and the rollouts that they are in."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from benchmarks.rig.crowd.rows import ACTOR, MINUTE_MS, Values
from benchmarks.rig.crowd.stacks import TARGET
from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.sites.hours import HOUR_MS, KEPT_HOURS

_JOINED_HOURS = 90 * 24
_LAST_SEEN_MINUTES = 10


def site(number: int, stacks: Sequence[Values], draw: random.Random) -> Values:
    """One that serves one of the stacks; one in fifty has fallen back, and says why."""
    stack = draw.choice(stacks)
    served = [direction(stack, stack["name"])]
    has_failed, now = number % 50 == 0, now_ms()
    error = {
        "generation": 1,
        "step": "probe",
        "code": "probe_failed",
        "message": "It misread.",
        "at_ms": now - 60 * MINUTE_MS,
    }
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "name": f"site-{number:05}",
        "state": "fallen_back" if has_failed else "serving",
        "desired_generation": 1,
        "desired_stacks": served,
        "told_generation": 1,
        "running_generation": 1,
        "running_stacks": served,
        "error": error if has_failed else None,
        "egress_policy": "raw",
        "inference_url": "http://127.0.0.1:1",
        "agent_version": "0.1.0",
        "bytes_first_install": 300_000_000,
        "bytes_last_update": 10_000_000,
        "samples_waiting": number % 7,
        "answers": draw.randrange(_JOINED_HOURS * 100),
        "joined_ms": now - _JOINED_HOURS * HOUR_MS,
        "last_seen_ms": now - draw.randrange(_LAST_SEEN_MINUTES * MINUTE_MS),
    }


def directed(site: Values) -> Values:
    """The set that a site was directed to when it joined."""
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "site_id": site["id"],
        "generation": site["desired_generation"],
        "stacks": site["desired_stacks"],
        "cause": ACTOR,
        "created_ms": site["joined_ms"],
    }


def hours(sites: Sequence[Values]) -> Iterator[Values]:
    """What each site had answered in each hour that is kept but the one under way, which the hub
    writes down itself."""
    now = now_ms()
    for one in sites:
        per_hour = one["answers"] // _JOINED_HOURS
        for ago in range(1, KEPT_HOURS + 1):
            yield {
                "site_id": one["id"],
                "hour_ms": now - now % HOUR_MS - ago * HOUR_MS,
                "project_id": DEFAULT_PROJECT,
                "answers": one["answers"] - ago * per_hour,
            }


def rollout(release: Values, served_as: str) -> Values:
    """One that is under way."""
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "key": None,
        "release_id": release["id"],
        "direction": direction(release, served_as),
        "wanted": {},
        "state": "progressing",
        "reason": "",
        "actor": ACTOR,
        "created_ms": release["created_ms"] + 1000,
        "updated_ms": release["created_ms"] + 2000,
    }


def entry(rollout: Values, site: Values, state: str) -> Values:
    """A site's place in a rollout."""
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "rollout_id": rollout["id"],
        "site_id": site["id"],
        "site_name": site["name"],
        "generation": 1,
        "previous": None,
        "state": state,
        "reason": "probe_failed: It misread." if state == "failed" else "",
        "updated_ms": rollout["updated_ms"],
    }


def direction(stack: Values, served_as: str) -> Values:
    """What a site shall run."""
    return {
        "served_as": served_as,
        "name": stack["name"],
        "version": stack["version"],
        "digest": stack["digest"],
        "family": "text",
        "target": TARGET,
    }
