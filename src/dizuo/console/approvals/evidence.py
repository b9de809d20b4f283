"""What somebody should see before they say yes or no to an improvement: gathered, not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.datasets import reviewers
from dizuo.datasets import service as datasets
from dizuo.datasets.errors import DatasetMissing
from dizuo.datasets.model import DatasetVersion
from dizuo.datasets.names import parse_ref
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport
from dizuo.improvements.model import Improvement
from dizuo.sites.serving import ServingSite, serving
from dizuo.stacks import service as stacks
from dizuo.stacks.errors import StackNotFound
from dizuo.stacks.model import StackVersion

NUM_SITES = 12
"""So many sites are shown beside the buttons; the others are counted."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A dataset version that was learned from or measured on, and how many of its new samples each
    reviewer labelled. `version` is None where it is gone."""

    ref: str
    version: DatasetVersion | None
    reviewers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """An improvement with all that speaks for and against it.

    `incumbent` is what is released under the name now; `sites` are the first of those that it would
    go to, with what they run, None for one that is gone.
    """

    improvement: Improvement
    learned: tuple[Learned, ...]
    stack: StackVersion | None
    incumbent: StackVersion | None
    report: GateReport | None
    sites: tuple[tuple[str, ServingSite | None], ...]


def evidence_of(session: Session, improvement: Improvement) -> Evidence:
    """What is known of an improvement now."""
    project = improvement.project_id
    stack = _stack(session, improvement)
    report = gates.latest_report(session, stack.digest, project_id=project) if stack else None
    incumbent = stacks.incumbent(session, stack.name, project_id=project) if stack else None
    return Evidence(
        improvement=improvement,
        learned=tuple(_learned(session, ref, project) for ref in improvement.dataset_versions),
        stack=stack,
        incumbent=None if incumbent == stack else incumbent,
        report=report,
        sites=_sites(session, improvement),
    )


def _stack(session: Session, improvement: Improvement) -> StackVersion | None:
    if not improvement.stack:
        return None
    try:
        return stacks.get(session, improvement.stack_reference)
    except StackNotFound:
        return None


def _learned(session: Session, ref: str, project_id: str) -> Learned:
    try:
        version = datasets.find(session, parse_ref(ref, project=project_id))
    except DatasetMissing:
        return Learned(ref, None, {})
    return Learned(ref, version, reviewers.of_version(session, version.id))


def _sites(
    session: Session, improvement: Improvement
) -> tuple[tuple[str, ServingSite | None], ...]:
    names = improvement.request.sites[:NUM_SITES]
    served_as = improvement.request.served_as
    found = serving(session, names, served_as, project_id=improvement.project_id)
    return tuple((name, found.get(name)) for name in names)
