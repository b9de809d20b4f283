"""The whole trace: from the sites that run a digest back to the samples it learned from."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from dizuo.releases import service as releases
from dizuo.sites import running
from dizuo.stacks import service as stacks
from dizuo.stacks.model import StackVersion, TraceStep


def trace(session: Session, stack: StackVersion) -> list[TraceStep]:
    """The sites that say they run a stack version, the release that allowed it, and then every step
    of `stacks.trace`.

    Raises:
        StackNotFound: a stack below it is not registered.
        DatasetMissing: a dataset version it learned from is not known any more.
    """
    return [
        *_site_steps(session, stack),
        *_release_steps(session, stack),
        *stacks.trace(session, stack.digest),
    ]


def _site_steps(session: Session, stack: StackVersion) -> Iterator[TraceStep]:
    for site in running.sites(session, stack.digest, project_id=stack.project_id):
        detail = {"served_as": list(site.served_as), "generation": site.generation}
        yield TraceStep("site", site.name, stack.digest, of=stack.digest, detail=detail)


def outline(session: Session, stack: StackVersion) -> list[TraceStep]:
    """The trace in few steps, however many sites and samples there are: in place of the sites one
    step `sites` with their number, and `stacks.outline` in place of `stacks.trace`.

    Raises:
        StackNotFound: a stack below it is not registered.
        DatasetMissing: a dataset version it learned from is not known any more.
    """
    found = running.num_sites(session, [stack.digest], project_id=stack.project_id)
    detail = {"num_sites": found.get(stack.digest, 0)}
    return [
        TraceStep("sites", "", stack.digest, of=stack.digest, detail=detail),
        *_release_steps(session, stack),
        *stacks.outline(session, stack.digest),
    ]


def _release_steps(session: Session, stack: StackVersion) -> Iterator[TraceStep]:
    found = releases.of_digest(session, stack.digest, project_id=stack.project_id)
    if found is not None:
        detail = {"state": found.state.value, "actor": found.actor}
        yield TraceStep("release", found.id, found.digest, of=stack.digest, detail=detail)
