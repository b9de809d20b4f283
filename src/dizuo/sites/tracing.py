"""The whole trace: from the sites that run a digest back to the samples it learned from."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from dizuo.releases import service as releases
from dizuo.sites import service
from dizuo.sites.model import Site
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
    for site in service.listing(session, project_id=stack.project_id):
        if names := _served_as(site, stack.digest):
            detail = {"served_as": names, "generation": site.running.generation}
            yield TraceStep("site", site.name, stack.digest, of=stack.digest, detail=detail)


def _served_as(site: Site, digest: str) -> list[str]:
    return [one.served_as for one in site.running.stacks if one.digest == digest]


def _release_steps(session: Session, stack: StackVersion) -> Iterator[TraceStep]:
    found = releases.of_digest(session, stack.digest, project_id=stack.project_id)
    if found is not None:
        detail = {"state": found.state.value, "actor": found.actor}
        yield TraceStep("release", found.id, found.digest, of=stack.digest, detail=detail)
