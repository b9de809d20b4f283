"""Two projects of one hub with something of each on every page, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy.orm import Session
from tests.console.approvals import decisions_scene
from tests.console.conftest import Place
from tests.console.data import data_scene
from tests.console.review import review_scene
from tests.console.runs.runs_scene import add_run
from tests.console.stacks.stacks_scene import StackScene, digit, score, worst

from dizuo.artifacts.model import Level
from dizuo.audit import store as audit_store
from dizuo.datasets import samples
from dizuo.datasets.content import row_digest
from dizuo.datasets.model import Mode, Reject
from dizuo.releases import store as releases_store
from dizuo.releases.model import Release
from dizuo.releases.service import signed_release
from dizuo.sites import rollouts
from dizuo.stacks.model import StackVersion

OURS, OTHER = "alder", decisions_scene.OTHER
"""A word that every name in a project holds."""
_NUM_ROWS = 4


@dataclass(frozen=True, slots=True)
class Things:
    """Names, ids and digests of what a project has; `entry` is one of the audit log."""

    stack: str
    dataset: str
    site: str
    person: str
    run: str
    other_run: str
    release: str
    rollout: str
    improvement: str
    sample: str
    row: str
    entry: str

    @property
    def pages(self) -> Mapping[str, str]:
        """An address of each page that is about something."""
        version = f"/data/{self.dataset}/2"
        return {
            "/stacks/{name}": f"/stacks/{self.stack}",
            "/stacks/{name}/{version}": f"/stacks/{self.stack}/1",
            "/data/{name}": f"/data/{self.dataset}",
            "/data/{name}/{version}": version,
            "/data/{name}/{version}/rejects": f"{version}/rejects",
            "/data/{name}/{version}/diff": f"{version}/diff?to=1",
            "/runs/{run_id}": f"/runs/{self.run}",
            "/runs/compare": f"/runs/compare?a={self.run}&b={self.other_run}",
            "/releases/{release_id}": f"/releases/{self.release}",
            "/releases/rollouts/{rollout_id}": f"/releases/rollouts/{self.rollout}",
            "/releases/rollouts/new": f"/releases/rollouts/new?release={self.release}",
            "/sites/{name}": f"/sites/{self.site}",
            "/approvals/{improvement_id}": f"/approvals/{self.improvement}",
            "/audit/{sequence}": f"/audit/{self.entry}",
            "/people/{name}": f"/people/{self.person}",
        }

    @property
    def asked(self) -> tuple[str, ...]:
        """Pages that are there without anything, asked about something."""
        return (
            f"/approvals/new?stack={self.stack}:1",
            f"/approvals/new?served_as={self.stack}",
            f"/audit?subject=stack:{self.stack}:1",
            f"/data/import?name={self.dataset}",
            f"/review?site={self.site}&stack={self.stack}&state=all",
            f"/review/label?stack={self.stack}",
            f"/runs/new?from={self.stack}:1",
            f"/runs/new?run={self.run}",
            f"/stacks?search={self.stack}",
        )

    @property
    def pictures(self) -> Mapping[str, str]:
        """An address of each kind of picture."""
        version = f"/data/{self.dataset}/1"
        return {
            "/data/{name}/{version}/small/{digest}": f"{version}/small/{self.row}?column=image",
            "/data/{name}/{version}/whole/{digest}": f"{version}/whole/{self.row}?column=image",
            "/stacks/{name}/{version}/rows/{digest}/{column}": (
                f"/stacks/{self.stack}/1/rows/{self.row}/image"
            ),
            "/review/samples/{key}/image": f"/review/samples/{self.sample}/image",
        }

    @property
    def names(self) -> tuple[str, ...]:
        """What no page says by chance; the number of an entry is nothing of that kind."""
        return astuple(self)[:-1]


def fill(place: Place) -> tuple[Things, Things]:
    """What the default project has, and the other one, whose only admin is its boss."""
    made = decisions_scene.fill(place.database)
    place.client.create_account(f"{OURS}-boss", "reader", decisions_scene.PASSWORD)
    return (
        _fill(place, "default", OURS, made.waiting[1]),
        _fill(place, OTHER, OTHER, made.others),
    )


def _fill(place: Place, project: str, word: str, improvement: str) -> Things:
    stack, dataset, site = f"{word}-clerk", f"{word}-pictures", f"{word}-yard"
    rows = [_row(word, number) for number in range(_NUM_ROWS)]
    row = row_digest(rows[0])
    data_scene.add(place, dataset, "vision", rows, project=project)
    refused = Reject(f"{word}.png", f"{word} is no picture")
    changed: list[dict[str, Any] | Reject] = [*rows[1:], refused]
    data_scene.add(place, dataset, "vision", changed, project=project, mode=Mode.REPLACE)
    scene = StackScene(place.home, place.database, project)
    base = scene.build(f"{word}-base", Level.L0)
    made = scene.build(stack, Level.L1, base, data=f"{dataset}@1", suite=f"{dataset}@1")
    wrong = worst(row, f"{word} answer", f"{word} truth", 0.8, f"{word}.png")
    scene.gate(made, score(f"{dataset}@1", 0.95, worst=(wrong,)))
    scene.run(made, site)
    spec = {"recipe": made.recipe}
    told = {"code": "gate_not_passed", "message": f"{word} has not passed."}
    run, other_run = (add_run(place, "tune", spec, (0.5,), told, project=project) for _ in "ab")
    sample, *_ = review_scene.send_digits(
        place.database, place.home, 2, made.digest, site=site, served_as=stack, project=project
    )
    with place.database.transaction() as session:
        release = _release(session, made)
        rollout = rollouts.start(session, made.ref, [site], f"person:{word}", project_id=project)
        entry = audit_store.newest(session, project, 1)[0]
        return Things(
            stack=stack,
            dataset=dataset,
            site=site,
            person=f"{word}-boss",
            run=run,
            other_run=other_run,
            release=release.id,
            rollout=rollout.id,
            improvement=improvement,
            sample=samples.find(session, sample, project).id,
            row=row,
            entry=str(entry.sequence),
        )


def _row(word: str, number: int) -> dict[str, Any]:
    return {"image": digit(number + sum(word.encode())), "label": f"{word} {number}"}


def _release(session: Session, stack: StackVersion) -> Release:
    """In the database alone, as a hub has keys for its default project only."""
    made = signed_release(stack, f"person:{stack.name}")
    releases_store.add(session, made)
    return made
