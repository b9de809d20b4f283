"""What a crowd has done so far: the audit log of it, and the histories of the hub's figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import insert

from benchmarks.rig.crowd.rows import ACTOR, AT_ONCE, MINUTE_MS, Values, columns
from benchmarks.rig.crowd.stacks import APPROVER
from dizuo.audit import store
from dizuo.audit.model import GENESIS, AuditEntry
from dizuo.audit.store import AuditRow
from dizuo.console.overview.history import KEPT_MS
from dizuo.core.clock import now_ms
from dizuo.database.engine import Database
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.improvements.model import State

_FIGURES = ("sites_online", "answers", "samples_waiting", "runs_active")
_UNKNOWN_MINUTES = 10
"""The newest minutes are the hub's own to write down."""
_WAY = (
    ("begin", State.COLLECTING),
    ("collect", State.TUNING),
    ("tune", State.GATING),
    ("ask_approval", State.AWAITING_APPROVAL),
    ("approve", State.RELEASING),
    ("release", State.DIRECTING),
    ("roll_out", State.ROLLING_OUT),
    ("finish", State.DONE),
)
"""What an improvement goes through, and where each step leads."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did, as the audit log has it before it is chained."""

    at_ms: int
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


def append(database: Database, deeds: Iterable[Deed]) -> int:
    """Chain deeds to a hub's audit log, in the order of their time; returns how many they were."""
    left, number = iter(sorted(deeds, key=lambda one: one.at_ms)), 0
    while some := list(islice(left, AT_ONCE)):
        with database.transaction() as session:
            entries = _chained(store.last(session), some)
            session.execute(insert(columns(AuditRow)), [asdict(entry) for entry in entries])
        number += len(some)
    return number


def _chained(head: AuditEntry | None, deeds: Iterable[Deed]) -> Iterator[AuditEntry]:
    last, previous = (head.sequence, head.digest) if head else (0, GENESIS)
    for sequence, deed in enumerate(deeds, last + 1):
        entry = AuditEntry(
            sequence=sequence,
            project_id=DEFAULT_PROJECT,
            at_ms=deed.at_ms,
            actor=deed.actor,
            action=deed.action,
            subject=deed.subject,
            detail=dict(deed.detail),
            previous=previous,
            digest="",
        )
        entry = replace(entry, digest=entry.expected_digest())
        previous = entry.digest
        yield entry


def of_sites(sites: Iterable[Values]) -> Iterator[Deed]:
    """Each has joined, and was directed."""
    for site in sites:
        subject, joined_ms = f"site:{site['name']}", site["joined_ms"]
        yield Deed(joined_ms, ACTOR, "site.joined", subject, {"site_id": site["id"]})
        served = {one["served_as"]: {"stack": one["name"]} for one in site["desired_stacks"]}
        detail = {"generation": 1, "served": served, "cause": ACTOR}
        yield Deed(joined_ms + 1000, ACTOR, "site.directed", subject, detail)


def of_samples(samples: Iterable[Values]) -> Iterator[Deed]:
    """Each site has returned its own at once, and reviewers have labelled some."""
    by_site: dict[str, list[Values]] = defaultdict(list)
    for row in samples:
        by_site[row["site"]].append(row)
        if row["reviewed_ms"]:
            detail = {"transition": "review", "label": row["label"], "label_before": None}
            subject = f"sample:{row['digest']}"
            reviewed_ms = row["reviewed_ms"]
            yield Deed(reviewed_ms, row["reviewer"], "sample.reviewed", subject, detail)
    for site, rows in by_site.items():
        detail = {"samples": [row["digest"] for row in rows]}
        received_ms = max(row["received_ms"] for row in rows)
        yield Deed(received_ms, f"site:{site}", "samples.returned", f"site:{site}", detail)


def of_runs(runs: Iterable[Values]) -> Iterator[Deed]:
    """Each was submitted, started and succeeded."""
    for run in runs:
        subject, detail = f"run:{run['id']}", {"kind": run["kind"], "key": run["key"]}
        yield Deed(run["created_ms"], run["actor"], "run.submitted", subject, detail)
        yield Deed(run["started_ms"], "hub:supervisor", "run.started", subject, {"attempt": 1})
        yield Deed(run["finished_ms"], "hub:supervisor", "run.succeeded", subject, run["outcome"])


def of_releases(releases: Iterable[Values]) -> Iterator[Deed]:
    """Each was signed."""
    for one in releases:
        detail = {"stack": f"{one['name']}:{one['version']}", "digest": one["digest"]}
        subject = f"release:{one['id']}"
        yield Deed(one["created_ms"], one["actor"], "release.signed", subject, detail)


def of_improvements(improvements: Iterable[Values]) -> Iterator[Deed]:
    """Each was started, and went its way to the state that it is in; a person approved it."""
    for one in improvements:
        subject, at_ms = f"improvement:{one['id']}", one["created_ms"]
        detail: dict[str, Any] = {
            "dataset": one["request"]["dataset"],
            "sites": list(one["request"]["sites"]),
        }
        yield Deed(at_ms, one["actor"], "improvement.started", subject, detail)
        for name, state in _way_to(State(one["state"])):
            at_ms += 1000
            actor = APPROVER if name == "approve" else f"workflow:{one['id']}"
            detail = {"state": state.value, "reason": ""}
            yield Deed(at_ms, actor, f"improvement.{name}", subject, detail)


def _way_to(state: State) -> Sequence[tuple[str, State]]:
    states = [target for _, target in _WAY]
    return _WAY[: states.index(state) + 1] if state in states else ()


def figures(values: Mapping[str, int]) -> Iterator[Values]:
    """The hub's figures in each minute that is kept, a little less the longer ago."""
    now = now_ms()
    for ago in range(_UNKNOWN_MINUTES, KEPT_MS // MINUTE_MS):
        for name in _FIGURES:
            yield {
                "project_id": DEFAULT_PROJECT,
                "name": name,
                "minute_ms": now - now % MINUTE_MS - ago * MINUTE_MS,
                "value": values.get(name, 0) * (1 - ago * MINUTE_MS / KEPT_MS / 2),
            }
