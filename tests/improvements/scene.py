"""Homes with keys, sites and reviewed samples, for tests that run the loop on real parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice
from pathlib import Path
from string import ascii_letters
from typing import Any

from dizuo.access import service as access
from dizuo.access.model import Principal, Role, Surface
from dizuo.database.engine import Database
from dizuo.datasets import review, samples
from dizuo.datasets.review import Verdict
from dizuo.edge import wire
from dizuo.edge.join import decode
from dizuo.families.registry import ENTRY_POINT_GROUP
from dizuo.improvements.model import ImprovementRequest
from dizuo.sites import service as sites

STACK_DIGEST = "sha256:" + "5" * 64
ANN = Principal("1", "ann", Surface.API, "default", Role.ADMIN)
SITES = ("harbour", "mill")
DATASET = "calls"
NAME = "caller"
RECIPE = """\
name: caller
level: L0
family: parrot
from: scratch
data: {train: calls@1}
method: {kind: listen}
task: {kind: repeat}
gates:
  - {suite: calls-test@1, metric: exact_match, at_least: 0.9}
targets: [safetensors, words]
"""


def install_parrot(site: Path) -> Path:
    """Install the family as pip would, in a folder for the import path: a distribution with an
    entry point."""
    information = site / "parrot-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    entry = f"[{ENTRY_POINT_GROUP}]\nparrot = tests.improvements.parrot\n"
    (information / "entry_points.txt").write_text(entry)
    return site


def recipe(**method: Any) -> str:
    """The recipe with further keys of its method."""
    extra = "".join(f", {name}: {value}" for name, value in method.items())
    return RECIPE.replace("kind: listen", f"kind: listen{extra}")


def wanted(text: str = RECIPE, **changes: Any) -> ImprovementRequest:
    """A request for the loop over `DATASET`, to the first site."""
    values: dict[str, Any] = {
        "recipe": text,
        "dataset": DATASET,
        "family": "parrot",
        "sites": SITES[:1],
    }
    return ImprovementRequest(**{**values, **changes})


def add_sites(database: Database, names: Sequence[str] = SITES) -> None:
    """Let sites join, as agents do."""
    for name in names:
        with database.transaction() as session:
            token = sites.create_join_token(
                session, "operator:ann", "http://127.0.0.1:1", "sha256:" + "0" * 64
            )
            request = wire.EnrolRequest(
                secret=decode(token.text).secret, site_name=name, agent_version="1"
            )
            sites.enrol(session, request)


def add_reviewed(database: Database, home: Path, count: int = 12, **sent: Any) -> list[str]:
    """Return samples as `add_returned` does and label them all `squawk`; their digests."""
    digests = add_returned(database, home, count, **sent)
    label(database, home, digests)
    return digests


def add_returned(
    database: Database,
    home: Path,
    count: int = 12,
    *,
    start: int = 0,
    site: str = SITES[0],
    served_as: str = NAME,
) -> list[str]:
    """Return samples from a site, of what it serves under this name; their digests."""
    texts = islice(combinations(ascii_letters, 3), start, start + count)
    sent = [_sample({"text": "".join(text)}, served_as) for text in texts]
    receipt = samples.receive(database, home, site, sent)
    assert len(receipt.accepted) == count, receipt.refused
    return list(receipt.accepted)


def label(database: Database, home: Path, digests: Sequence[str]) -> None:
    """Say of returned samples that they are `squawk`."""
    with database.transaction() as session:
        for digest in digests:
            review.judge(session, home, digest, Verdict("squawk"), "operator:ann")


def obey(database: Database, names: Sequence[str] = SITES) -> None:
    """Let sites that are told to run something else run it, as agents would report."""
    with database.reading() as session:
        found = [one for one in sites.listing(session) if one.running != one.desired]
    for site in (one for one in found if one.name in names):
        with database.transaction() as session:
            desired = sites.show(session, site.name).desired
            said = wire.CheckIn(state="serving" if desired.stacks else "empty", running=desired)
            sites.check_in(session, site.name, said, 1.0)


def fall_back(database: Database, name: str) -> None:
    """Let a site report that it gave up on what it is told to run."""
    with database.transaction() as session:
        generation = sites.show(session, name).desired.generation
        error = wire.SiteError(
            generation=generation,
            step="probing",
            code="probe_failed",
            message="It choked.",
            at_ms=1,
        )
        said = wire.CheckIn(state="empty", running=wire.DesiredState(generation=0), error=error)
        sites.check_in(session, name, said, 1.0)


def _sample(row: dict[str, Any], served_as: str) -> wire.Sample:
    return wire.Sample(
        digest=wire.sample_digest(row, STACK_DIGEST),
        family="parrot",
        served_as=served_as,
        stack_digest=STACK_DIGEST,
        row=row,
        answer="?",
        confidence=0.5,
        reason="uncertain",
        taken_ms=1_000,
    )


def token_of(database: Database, role: Role, name: str = "") -> str:
    """A new operator token."""
    with database.transaction() as session:
        return access.issue(session, "test", Surface.API, name or role.word, role=role)
