"""Taking in what sites return: only what they can have seen.

A site is believed about stacks that it was directed to, now or ever. A sample of any other stack,
or of another family than the stack has, is refused by itself; the rest of the upload is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dizuo.core.digests import short
from dizuo.database.engine import Database
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets import samples as datasets
from dizuo.edge.wire import Direction, RefusedSample, Sample, SampleReceipt
from dizuo.sites import service

_Origin = tuple[str, str]  # the digest of a stack and its family


def receive(
    database: Database,
    home: Path,
    site: str,
    samples: Sequence[Sample],
    *,
    project_id: str = DEFAULT_PROJECT,
) -> SampleReceipt:
    """Take in what a site returned. Sending a sample again is harmless.

    Opens its own transactions; call it outside of one. The arguments are those of
    `datasets.samples.receive`.

    Raises:
        SiteNotFound: the site was removed.
    """
    known = _origins(database, site, {_origin(one) for one in samples}, project_id)
    believed = [one for one in samples if _origin(one) in known]
    strange = [one for one in samples if _origin(one) not in known]
    receipt = datasets.receive(database, home, site, believed, project_id=project_id)
    refused = (*receipt.refused, *(_refusal(one) for one in strange))
    return SampleReceipt(accepted=receipt.accepted, refused=refused)


def _origins(
    database: Database, site: str, asked: set[_Origin], project_id: str
) -> frozenset[_Origin]:
    """Where samples of this site may come from; its history is read only if today is not enough."""
    with database.reading() as session:
        now = _origins_of(service.show(session, site, project_id=project_id).desired.stacks)
        if asked <= now:
            return now
        return _origins_of(service.ever_directed(session, site, project_id=project_id))


def _origins_of(directions: Iterable[Direction]) -> frozenset[_Origin]:
    return frozenset((one.digest, one.family) for one in directions)


def _origin(sample: Sample) -> _Origin:
    return sample.stack_digest, sample.family


def _refusal(sample: Sample) -> RefusedSample:
    stack = short(sample.stack_digest)
    return RefusedSample(
        digest=sample.digest,
        reason=f"the site was never directed to run the stack {stack} of family {sample.family}",
    )
