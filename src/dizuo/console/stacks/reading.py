"""All that the page of a stack version shows, read at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.artifacts.reference import Reference
from dizuo.artifacts.stacks import read_stack
from dizuo.console.elements.lists import Place
from dizuo.console.stacks.examples import Group, worst_of
from dizuo.console.stacks.layers import LayerBytes, layers_of
from dizuo.console.stacks.states import States, states_of
from dizuo.core.errors import DizuoError
from dizuo.gates import service as gates
from dizuo.gates.store import StoredReport
from dizuo.releases import service as releases
from dizuo.releases.model import Release
from dizuo.sites import running, tracing
from dizuo.sites.running import RunningSite
from dizuo.stacks import browsing, comparing
from dizuo.stacks import service as stacks
from dizuo.stacks.browsing import StackCard
from dizuo.stacks.comparing import Comparison
from dizuo.stacks.model import StackVersion, TraceStep

PARENT, PREDECESSOR = "parent", "predecessor"
NUM_CHILDREN = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version, what to compare it with (empty for the page's choice), and which of its sites."""

    reference: Reference
    against: str
    sites: Place


@dataclass(frozen=True, slots=True)
class Whole:
    """A version with everything around it that its project may see.

    `chain` has it and those below it by level. `layers` are empty where the registry cannot be
    read, `steps` where the trace cannot; `fault` says why. `against` is what `comparison` is with.
    """

    stack: StackVersion
    chain: Mapping[Level, StackCard]
    earlier: StackCard | None
    later: StackCard | None
    children: tuple[StackCard, ...]
    states: States
    release: Release | None
    sites: tuple[RunningSite, ...]
    report: StoredReport | None
    worst: tuple[Group, ...]
    against: str
    comparison: Comparison | None
    layers: tuple[LayerBytes, ...]
    steps: tuple[TraceStep, ...]
    faults: Mapping[str, DizuoError]

    @property
    def parent(self) -> StackCard | None:
        """What it stands on, if the project may see it."""
        digest = self.stack.parent_digest
        return next((one for one in self.chain.values() if one.digest == digest), None)


def read_whole(session: Session, layout: Layout, wanted: Wanted) -> Whole:
    """Everything about a version.

    Raises:
        StackNotFound: the project has no such version.
        ReportDamaged: a gate report cannot be read.
    """
    stack = stacks.get(session, wanted.reference)
    project, digest = stack.project_id, stack.digest
    chain = _chain(session, stack)
    earlier, later = browsing.neighbours(session, stack)
    report = gates.latest_stored(session, digest, project_id=project)
    against, other = _other(wanted.against, earlier, _below(stack, chain))
    faults: dict[str, DizuoError] = {}
    return Whole(
        stack=stack,
        chain=chain,
        earlier=earlier,
        later=later,
        children=tuple(browsing.children(session, digest, limit=NUM_CHILDREN, project_id=project)),
        states=states_of(session, project, [digest]),
        release=releases.of_digest(session, digest, project_id=project),
        sites=tuple(
            running.sites(
                session,
                digest,
                limit=wanted.sites.size,
                offset=wanted.sites.offset,
                project_id=project,
            )
        ),
        report=report,
        worst=tuple(worst_of(session, project, report.report)) if report else (),
        against=against,
        comparison=_compared(session, stack, other),
        layers=_layers(layout, digest, faults),
        steps=_steps(session, stack, faults),
        faults=faults,
    )


def _chain(session: Session, stack: StackVersion) -> dict[Level, StackCard]:
    found = {stack.level: StackCard.of(stack)}
    below = stack.parent_digest
    while below is not None:
        card = browsing.cards(session, [below], project_id=stack.project_id).get(below)
        if card is None:
            break
        found[card.level] = card
        below = card.parent_digest
    return found


def _below(stack: StackVersion, chain: Mapping[Level, StackCard]) -> StackCard | None:
    return next((one for one in chain.values() if one.digest == stack.parent_digest), None)


def _other(
    asked: str, earlier: StackCard | None, parent: StackCard | None
) -> tuple[str, StackCard | None]:
    """What to compare with: what was asked for, if there is such; else the predecessor."""
    found = {PREDECESSOR: earlier, PARENT: parent}
    if found.get(asked) is not None:
        return asked, found[asked]
    return (PREDECESSOR, earlier) if earlier else (PARENT, parent)


def _compared(session: Session, stack: StackVersion, other: StackCard | None) -> Comparison | None:
    if other is None:
        return None
    return comparing.compare(session, stacks.get_by_digest(session, other.digest), stack)


def _layers(layout: Layout, digest: str, faults: dict[str, DizuoError]) -> tuple[LayerBytes, ...]:
    try:
        return tuple(layers_of(read_stack(layout, digest)))
    except DizuoError as error:  # a damaged registry: the rest of the page stands
        faults["layers"] = error
        return ()


def _steps(
    session: Session, stack: StackVersion, faults: dict[str, DizuoError]
) -> tuple[TraceStep, ...]:
    try:
        return tuple(tracing.outline(session, stack))
    except DizuoError as error:  # something it was made from is gone: the rest of the page stands
        faults["trace"] = error
        return ()
