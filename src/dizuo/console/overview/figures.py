"""A project in figures: what the overview shows, and what its histories are made of."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dizuo.datasets import samples
from dizuo.datasets.samples import SampleFilter
from dizuo.gates import service as gates
from dizuo.gates.store import Verdict
from dizuo.improvements import service as improvements
from dizuo.runs import service as runs
from dizuo.runs.model import RunState
from dizuo.sites import rollouts, running
from dizuo.sites import service as sites
from dizuo.sites.model import SiteCounts
from dizuo.sites.rollout_model import EntryState, Rollout
from dizuo.stacks import service as stacks

NUM_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """A project at one moment; `running` are digests of what most sites online run, and how many
    do; `refs` names stacks by their digests."""

    sites: SiteCounts
    samples: Mapping[str, int]
    runs: Mapping[RunState, int]
    num_stacks: int
    num_awaiting_approval: int
    rollouts: Sequence[tuple[Rollout, Mapping[EntryState, int]]]
    verdicts: Sequence[Verdict]
    running: Sequence[tuple[str, int]]
    refs: Mapping[str, str]

    @property
    def num_waiting_samples(self) -> int:
        """Samples that nobody has given a label yet."""
        return self.samples.get(samples.MACHINE.initial, 0)

    @property
    def num_active_runs(self) -> int:
        """Runs that wait or run."""
        return self.runs.get(RunState.QUEUED, 0) + self.runs.get(RunState.RUNNING, 0)

    def noted(self) -> dict[str, float]:
        """What histories are kept of."""
        return {
            "sites_online": self.sites.num_online,
            "answers": self.sites.num_answers,
            "samples_waiting": self.num_waiting_samples,
            "runs_active": self.num_active_runs,
            "stacks": self.num_stacks,
            "approvals": self.num_awaiting_approval,
        }


def figures_of(session: Session, project_id: str, online_since_ms: int) -> Figures:
    """A project's figures; sites that were heard of since `online_since_ms` are online."""
    verdicts = gates.latest_verdicts(session, project_id=project_id, limit=NUM_SHOWN)
    most = running.most(session, online_since_ms, NUM_SHOWN, project_id=project_id)
    digests = {verdict.stack_digest for verdict in verdicts} | {digest for digest, _ in most}
    num_stacks, _ = stacks.count(session, project_id=project_id)
    return Figures(
        sites=sites.counts(session, online_since_ms, project_id=project_id),
        samples=samples.count(session, SampleFilter(project_id=project_id)),
        runs=runs.counts(session, project_id=project_id),
        num_stacks=num_stacks,
        num_awaiting_approval=improvements.num_awaiting_approval(session, project_id=project_id),
        rollouts=rollouts.under_way(session, project_id=project_id, limit=NUM_SHOWN),
        verdicts=verdicts,
        running=most,
        refs=stacks.refs(session, digests, project_id=project_id),
    )


@dataclass(frozen=True, slots=True)
class Disk:
    """Room on the disk of the hub's home, in bytes."""

    free_bytes: int
    total_bytes: int

    @property
    def is_short(self) -> bool:
        """Whether less than a twentieth is left."""
        return self.free_bytes * 20 < self.total_bytes

    def noted(self) -> dict[str, float]:
        """What a history is kept of."""
        return {"disk_free": self.free_bytes}


def disk_of(home: Path) -> Disk:
    """How much room is left."""
    found = shutil.disk_usage(home)
    return Disk(found.free, found.total)
