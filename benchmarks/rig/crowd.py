"""A hub's database as full as the console's aim speaks of, written in bulk."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import DEFAULT_PROJECT, Row
from dizuo.datasets.samples import content_path
from dizuo.datasets.store import SampleRow
from dizuo.edge import wire
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.gates.store import GateReportRow
from dizuo.improvements.model import ImprovementRequest, State
from dizuo.improvements.store import ImprovementRow
from dizuo.releases.model import ReleaseState
from dizuo.releases.store import ReleaseRow
from dizuo.runs.store import RunRow
from dizuo.sites.rollout_store import RolloutRow, RolloutSiteRow
from dizuo.sites.store import SiteRow
from dizuo.stacks.store import StackRow

NUM_BASES = 10
NUM_INDUSTRIES = 90
NUM_ROLLOUTS = 200
NUM_SITES_EACH = 20
"""Sites of each rollout but the last, which goes to all."""
NUM_IMPROVEMENTS = 300
_ROWS_AT_ONCE = 2000
_MINUTE_MS = 60_000
_SCHEMA = "{type: object, required: [kind], properties: {kind: {enum: [a, b, c, d]}}}"


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many of each there are."""

    num_sites: int
    num_stacks: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class Filled:
    """Names to open pages by; the rollout is the one to all sites."""

    site: str
    stack: str
    stack_name: str
    run_id: str
    other_run_id: str
    release_id: str
    rollout_id: str
    improvement_id: str


def fill(home: Path, crowd: Crowd, seed: int = 1) -> Filled:
    """Write everything into the database of a hub's home, which may run."""
    draw = random.Random(seed)
    database = Database(sqlite_url(home / "hub.db"))
    stacks = list(_stacks(crowd.num_stacks, draw))
    runs = [_run(stack) for stack in stacks]
    sites = [_site(number, stacks, draw) for number in range(crowd.num_sites)]
    _write(database, StackRow, stacks)
    _write(database, RunRow, runs)
    _write(database, GateReportRow, [_report(stack, draw) for stack in stacks])
    releases = [_release(stack) for stack in stacks if stack["released_ms"]]
    _write(database, ReleaseRow, releases)
    _write(database, SiteRow, sites)
    rollouts = [_rollout(one, f"site-{n}") for n, one in enumerate(releases[:NUM_ROLLOUTS])]
    rollouts.append(_rollout(releases[-1], "everywhere"))
    _write(database, RolloutRow, rollouts)
    for rollout in rollouts[:-1]:
        some = draw.sample(sites, min(NUM_SITES_EACH, len(sites)))
        _write(database, RolloutSiteRow, [_entry(rollout, site, "done") for site in some])
    states = ("done", "done", "done", "progressing", "failed")
    everywhere = [_entry(rollouts[-1], site, draw.choice(states)) for site in sites]
    _write(database, RolloutSiteRow, everywhere)
    _write(database, SampleRow, list(_samples(home, crowd.num_samples, sites, stacks, draw)))
    improvements = [_improvement(one, rollouts[-1]) for one in releases[:NUM_IMPROVEMENTS]]
    _write(database, ImprovementRow, improvements)
    database.close()
    newest = stacks[-1]
    return Filled(
        site=sites[0]["name"],
        stack=f"{newest['name']}/{newest['version']}",
        stack_name=newest["name"],
        run_id=runs[-1]["id"],
        other_run_id=runs[-2]["id"],
        release_id=releases[-1]["id"],
        rollout_id=rollouts[-1]["id"],
        improvement_id=improvements[-1]["id"],
    )


def _write(database: Database, table: type[Row], rows: Sequence[dict[str, Any]]) -> None:
    for some in _batched(rows):
        with database.transaction() as session:
            session.execute(insert(table), some)


def _batched(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield list(rows[start : start + _ROWS_AT_ONCE])


def _stacks(num_stacks: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Bases, industries on them, and scenarios on those, several versions of each scenario."""
    levels: dict[str, list[dict[str, Any]]] = {"L0": [], "L1": [], "L2": []}
    now = now_ms()
    for number in range(num_stacks):
        if number < NUM_BASES:
            level, name, parent = "L0", f"base-{number:02}", None
        elif number < NUM_BASES + NUM_INDUSTRIES:
            level, name = "L1", f"industry-{number:03}"
            parent = draw.choice(levels["L0"])["digest"]
        else:
            level, name = "L2", f"scenario-{number // 3:04}"
            parent = draw.choice(levels["L1"])["digest"]
        stack = _stack(number, level, name, parent, now - (num_stacks - number) * _MINUTE_MS)
        levels[level].append(stack)
        yield stack


def _stack(
    number: int, level: str, name: str, parent: str | None, created_ms: int
) -> dict[str, Any]:
    recipe = (
        f"name: {name}\nlevel: {level}\nfamily: text\ntask: {{kind: extract, schema: {_SCHEMA}}}\n"
    )
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "name": name,
        "version": number % 3 + 1 if level == "L2" else 1,
        "level": level,
        "family": "text",
        "digest": sha256_bytes(f"stack {number}".encode()),
        "index_size_bytes": 1000,
        "targets": ["safetensors", "gguf-q4_0"],
        "parent_digest": parent,
        "input_digest": sha256_bytes(f"input {number}".encode()),
        "run_id": new_id(),
        "recipe": recipe,
        "datasets": [],
        "bytes_total": 300_000_000,
        "bytes_added": 10_000_000,
        "created_ms": created_ms,
        "released_ms": created_ms + 1000 if number % 5 else None,
    }


def _run(stack: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": stack["run_id"],
        "project_id": DEFAULT_PROJECT,
        "kind": "tune",
        "key": stack["run_id"],
        "spec": {"recipe": stack["recipe"], "project": DEFAULT_PROJECT},
        "actor": "operator:benchmark",
        "state": "succeeded",
        "fence": 1,
        "num_lost": 0,
        "cached": False,
        "outcome": {"stack": f"{stack['name']}:{stack['version']}", "digest": stack["digest"]},
        "error": None,
        "lease_ms": None,
        "cancel_ms": None,
        "created_ms": stack["created_ms"] - 60_000,
        "started_ms": stack["created_ms"] - 50_000,
        "finished_ms": stack["created_ms"],
    }


def _report(stack: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    ref, score = f"{stack['name']}:{stack['version']}", 0.8 + 0.2 * draw.random()
    rule = RuleResult(
        rule={"suite": "tickets-test@1", "metric": "exact_match", "at_least": 0.85},
        sentence="exact_match on tickets-test@1 is at least 0.85",
        verdict=Verdict.PASS if score >= 0.85 else Verdict.FAIL,
        reason=f"exact_match is {score:.3f}",
        target="gguf-q4_0",
        measured=score,
        low=score - 0.03,
        high=min(1.0, score + 0.03),
        confidence=0.95,
        num_rows=500,
    )
    report = GateReport(ref, stack["digest"], "text", 0, stack["created_ms"], {}, (rule,))
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "stack_digest": stack["digest"],
        "digest": report.digest,
        "passed": report.passed,
        "run_id": "",
        "report": report.as_dict(),
        "created_ms": stack["created_ms"] + 500,
    }


def _release(stack: dict[str, Any]) -> dict[str, Any]:
    kept = ("project_id", "name", "version", "digest", "family", "level", "targets")
    return {
        **{name: stack[name] for name in kept},
        "id": new_id(),
        "size_bytes": stack["index_size_bytes"],
        "state": ReleaseState.SIGNED.value,
        "actor": "operator:benchmark",
        "created_ms": stack["released_ms"],
        "withdrawn_ms": None,
    }


def _improvement(release: dict[str, Any], rollout: dict[str, Any]) -> dict[str, Any]:
    recipe = f"name: {release['name']}\nlevel: {release['level']}\nfamily: text\n"
    asked = ImprovementRequest(recipe, "tickets", "text", ("site-00001",), release["name"])
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "state": State.DONE.value,
        "request": asdict(asked),
        "needs_approval": False,
        "actor": "operator:benchmark",
        "created_ms": release["created_ms"] - 60_000,
        "updated_ms": release["created_ms"],
        "made": {
            "stack": f"{release['name']}:{release['version']}",
            "release_id": release["id"],
            "rollout_id": rollout["id"],
        },
        "reason": "",
    }


def _rollout(release: dict[str, Any], served_as: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "key": None,
        "release_id": release["id"],
        "direction": _direction(release, served_as),
        "wanted": {},
        "state": "progressing",
        "reason": "",
        "actor": "operator:benchmark",
        "created_ms": release["created_ms"] + 1000,
        "updated_ms": release["created_ms"] + 2000,
    }


def _entry(rollout: dict[str, Any], site: dict[str, Any], state: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "rollout_id": rollout["id"],
        "site_id": site["id"],
        "site_name": site["name"],
        "generation": 1,
        "previous": None,
        "state": state,
        "reason": "the probe failed: It misread." if state == "failed" else "",
        "updated_ms": rollout["updated_ms"],
    }


def _direction(stack: dict[str, Any], served_as: str) -> dict[str, Any]:
    return {
        "served_as": served_as,
        "name": stack["name"],
        "version": stack["version"],
        "digest": stack["digest"],
        "family": "text",
        "target": "gguf-q4_0",
    }


def _site(number: int, stacks: Sequence[dict[str, Any]], draw: random.Random) -> dict[str, Any]:
    stack = draw.choice(stacks)
    served = [_direction(stack, stack["name"])]
    now = now_ms()
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "name": f"site-{number:05}",
        "state": "serving" if number % 50 else "fallen_back",
        "desired_generation": 1,
        "desired_stacks": served,
        "told_generation": 1,
        "running_generation": 1,
        "running_stacks": served,
        "error": None,
        "egress_policy": "raw",
        "inference_url": "http://127.0.0.1:1",
        "agent_version": "0.1.0",
        "bytes_first_install": 300_000_000,
        "bytes_last_update": 10_000_000,
        "samples_waiting": number % 7,
        "answers": draw.randrange(100_000),
        "joined_ms": now - 90 * 24 * 60 * _MINUTE_MS,
        "last_seen_ms": now - draw.randrange(10 * _MINUTE_MS),
    }


def _samples(
    home: Path,
    num_samples: int,
    sites: Sequence[dict[str, Any]],
    stacks: Sequence[dict[str, Any]],
    draw: random.Random,
) -> Iterator[dict[str, Any]]:
    now = now_ms()
    for number in range(num_samples):
        stack, site = draw.choice(stacks), draw.choice(sites)
        prompt = f"Ticket {number}: water on the road near house {draw.randrange(1000)}."
        sample = wire.Sample(
            digest=wire.sample_digest({"prompt": prompt}, stack["digest"]),
            served_as=stack["name"],
            stack_digest=stack["digest"],
            family="text",
            row={"prompt": prompt},
            answer={"kind": draw.choice("abcd")},
            confidence=round(draw.random(), 3),
            reason=draw.choice(("uncertain", "uncertain", "novel", "control")),
            taken_ms=now - draw.randrange(14 * 24 * 60) * _MINUTE_MS,
        )
        path = content_path(home, sample.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sample.model_dump(mode="json")), encoding="utf-8")
        yield _sample_row(sample, site["name"], "reviewed" if number % 3 == 0 else "returned")


def _sample_row(sample: wire.Sample, site: str, state: str) -> dict[str, Any]:
    reviewed = state == "reviewed"
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "digest": sample.digest,
        "site": site,
        "family": sample.family,
        "served_as": sample.served_as,
        "stack_digest": sample.stack_digest,
        "answer": sample.answer,
        "confidence": sample.confidence,
        "reason": sample.reason,
        "taken_ms": sample.taken_ms,
        "received_ms": sample.taken_ms + 1000,
        "state": state,
        "label": sample.answer if reviewed else None,
        "changed": len(site) % 2 == 0 if reviewed else None,
        "reviewer": "person:ann" if reviewed else "",
        "reviewed_ms": sample.taken_ms + 2000 if reviewed else None,
        "dataset_version_id": None,
    }
