"""A hub's database as full as the console's aim speaks of, written in bulk."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from benchmarks.rig.crowd import learned, past, samples, sites, stacks, training
from benchmarks.rig.crowd.learned import Version
from benchmarks.rig.crowd.rows import Values, write
from dizuo.audit.store import AuditRow
from dizuo.cli.output import say
from dizuo.console.overview.history import FigureRow
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.datasets.desk_store import ClaimRow, OpinionRow, SkipRow
from dizuo.datasets.store import DatasetRow, DatasetVersionRow, SampleRow
from dizuo.gates.report import WorstExample
from dizuo.gates.store import GateReportRow
from dizuo.improvements.model import State
from dizuo.improvements.store import ImprovementRow
from dizuo.releases.store import ReleaseRow
from dizuo.runs.folder import run_folder
from dizuo.runs.store import RunRow
from dizuo.sites.rollout_store import RolloutRow, RolloutSiteRow
from dizuo.sites.store import SiteDirectionRow, SiteHourRow, SiteRow
from dizuo.stacks.store import StackRow

NUM_ROLLOUTS = 200
NUM_SITES_EACH = 20
"""Sites of each rollout but the last, which goes to all."""
_ENTRY_STATES = ("done", "done", "done", "progressing", "failed")


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many of each there are."""

    num_sites: int
    num_stacks: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class Filled:
    """What to open pages by, and how many rows each table got. The rollout is the one to all sites,
    `rolling_id` the improvement that waits for it, `waiting_id` one that waits for a person."""

    site: str
    stack: str
    stack_name: str
    dataset: str
    run_id: str
    other_run_id: str
    release_id: str
    rollout_id: str
    improvement_id: str
    waiting_id: str
    rolling_id: str
    num_rows: Mapping[str, int]


class _Filling:
    """Writes tables one after the other, and says how far it is."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.num_rows: dict[str, int] = {}

    def put(self, table: type[Row], rows: Iterable[Values]) -> None:
        """Write rows into a table."""
        self._note(table, write(self.database, table, rows))

    def log(self, deeds: Iterable[past.Deed]) -> None:
        """Append to the audit log."""
        self._note(AuditRow, past.append(self.database, deeds))

    def _note(self, table: type[Row], number: int) -> None:
        self.num_rows[table.__tablename__] = number
        say(f"  {table.__tablename__}: {number:,} rows")


@dataclass(frozen=True, slots=True)
class _Made:
    """Stacks, oldest first, with what was made of them, and the sites."""

    stacks: Sequence[Values]
    runs: Sequence[Values]
    releases: Sequence[Values]
    rollouts: Sequence[Values]
    sites: Sequence[Values]


def fill(home: Path, crowd: Crowd, worst: Sequence[WorstExample] = (), seed: int = 1) -> Filled:
    """Write everything into the database of a hub's home, which may run.

    Args:
        home: the hub's.
        crowd: how much.
        worst: rows of `stacks.SUITE` that every stack got wrong.
        seed: of what is drawn.
    """
    draw = random.Random(seed)
    database = Database(sqlite_url(home / "hub.db"))
    filling = _Filling(database)
    versions = _put_datasets(filling)
    made = _put_stacks(filling, crowd, versions, worst, draw)
    _put_sites(filling, made, draw)
    say(f"  contents of {crowd.num_samples:,} samples")
    found = (made.sites, made.stacks, versions)
    returned = list(samples.samples(home, crowd.num_samples, found, draw))
    _put_samples(filling, returned, draw)
    improvements = list(_improvements(made, draw))
    filling.put(ImprovementRow, improvements)
    filling.log(_deeds(made, returned, improvements))
    database.close()
    newest = made.stacks[-1]
    opened = [run["id"] for run in made.runs if run["kind"] == "tune"][-2:]
    for run_id in opened:
        folder = run_folder(home, run_id)
        training.begin(folder)
        training.tell(folder, range(1, training.NUM_STEPS + 1))
    first = {one["state"]: one["id"] for one in reversed(improvements)}
    return Filled(
        site=made.sites[0]["name"],
        stack=f"{newest['name']}/{newest['version']}",
        stack_name=newest["name"],
        dataset=versions[0].name,
        run_id=opened[1],
        other_run_id=opened[0],
        release_id=made.releases[-1]["id"],
        rollout_id=made.rollouts[-1]["id"],
        improvement_id=first[State.DONE],
        waiting_id=first[State.AWAITING_APPROVAL],
        rolling_id=first[State.ROLLING_OUT],
        num_rows=filling.num_rows,
    )


def _put_datasets(filling: _Filling) -> list[Version]:
    owners = list(learned.datasets())
    versions = [version for one in owners for version in learned.versions(one)]
    filling.put(DatasetRow, owners)
    filling.put(DatasetVersionRow, (version.row for version in versions))
    return [version for version in versions if not version.name.endswith("-test")]


def _put_stacks(
    filling: _Filling,
    crowd: Crowd,
    versions: Sequence[Version],
    worst: Sequence[WorstExample],
    draw: random.Random,
) -> _Made:
    made = list(stacks.stacks(crowd.num_stacks, versions, draw))
    reports = [stacks.report(one, worst, draw) for one in made]
    runs = [
        run
        for stack, report in zip(made, reports, strict=True)
        for run in (stacks.tune(stack), stacks.gating(stack, report))
    ]
    releases = [stacks.release(one) for one in made if one["released_ms"]]
    rollouts = [sites.rollout(one, f"site-{n}") for n, one in enumerate(releases[:NUM_ROLLOUTS])]
    rollouts.append(sites.rollout(releases[-1], "everywhere"))
    filling.put(StackRow, made)
    filling.put(RunRow, runs)
    filling.put(GateReportRow, reports)
    filling.put(ReleaseRow, releases)
    filling.put(RolloutRow, rollouts)
    joined = [sites.site(number, made, draw) for number in range(crowd.num_sites)]
    return _Made(made, runs, releases, rollouts, joined)


def _put_sites(filling: _Filling, made: _Made, draw: random.Random) -> None:
    filling.put(SiteRow, made.sites)
    filling.put(SiteDirectionRow, map(sites.directed, made.sites))
    filling.put(SiteHourRow, sites.hours(made.sites))
    some = min(NUM_SITES_EACH, len(made.sites))
    *before, everywhere = made.rollouts
    arrived = (
        sites.entry(one, site, "done") for one in before for site in draw.sample(made.sites, some)
    )
    under_way = (sites.entry(everywhere, one, draw.choice(_ENTRY_STATES)) for one in made.sites)
    filling.put(RolloutSiteRow, chain(arrived, under_way))


def _put_samples(filling: _Filling, returned: Sequence[Values], draw: random.Random) -> None:
    filling.put(SampleRow, returned)
    filling.put(OpinionRow, samples.opinions(returned, draw))
    filling.put(ClaimRow, samples.claims(returned))
    filling.put(SkipRow, samples.skips(returned, draw))
    waiting = sum(row["state"] == "returned" for row in returned)
    filling.put(FigureRow, past.figures({"samples_waiting": waiting, "runs_active": 1}))


def _improvements(made: _Made, draw: random.Random) -> Iterator[Values]:
    """Those that are done, those that wait for samples or for a person, and one on its way."""
    layers = [one for one in made.stacks if one["datasets"]]
    released = [one for one in layers if one["released_ms"]]
    others = [one for one in layers if not one["released_ms"]]
    by_digest = {one["digest"]: one["id"] for one in made.releases}
    for stack in released[: stacks.NUM_DONE]:
        ids = {"release_id": by_digest[stack["digest"]], "rollout_id": made.rollouts[-1]["id"]}
        ids |= {"approver": stacks.APPROVER}
        yield stacks.improvement(State.DONE, stack, made.sites, draw, **ids)
    for stack in others[-stacks.NUM_WAITING :]:
        yield stacks.improvement(State.AWAITING_APPROVAL, stack, made.sites, draw)
    for stack in released[-stacks.NUM_AWAITING_REVIEW :]:
        yield stacks.improvement(State.AWAITING_REVIEW, stack, made.sites, draw)
    ids = {"release_id": made.releases[-1]["id"], "rollout_id": made.rollouts[-1]["id"]}
    yield stacks.improvement(State.ROLLING_OUT, released[-1], made.sites, draw, **ids)


def _deeds(
    made: _Made, returned: Sequence[Values], improvements: Sequence[Values]
) -> Iterator[past.Deed]:
    yield from past.of_sites(made.sites)
    yield from past.of_runs(made.runs)
    yield from past.of_releases(made.releases)
    yield from past.of_samples(returned)
    yield from past.of_improvements(improvements)
