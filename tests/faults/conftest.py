"""A home with an improvement under way, and hubs that are killed in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy.orm import Session
from tests.improvements import scene
from tests.improvements.conftest import parrot_family, until

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets import service as datasets
from dizuo.demo.processes import free_port
from dizuo.hub import home as homes
from dizuo.hub.settings import HubSettings
from dizuo.improvements import service
from dizuo.improvements.model import Improvement, State
from dizuo.releases import service as releases
from dizuo.releases.keys import init_keys
from dizuo.releases.repository import Repository
from dizuo.runs import process as processes
from dizuo.runs import service as runs
from dizuo.runs.folder import RunFolder
from dizuo.sites import rollouts
from dizuo.sites import service as sites
from dizuo.stacks import service as stacks

__all__ = ["parrot_family"]  # a fixture here too

ROOT = Path(__file__).parents[2]
RULES = ("begin", "collect", "tune", "pass_gate", "release", "roll_out", "finish")


@contextmanager
def hub_of(
    home: Path, die_at: str = "", *, import_path: Sequence[Path] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """`dizuo up` in a process of its own; killed at the end if it still lives."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("DIZUO_")},
        "PYTHONPATH": os.pathsep.join(map(str, (*import_path, ROOT))),
        "DIE_AT": die_at,
    }
    arguments = ["up", "--home", str(home), "--port", str(free_port())]
    command = [sys.executable, "-m", "tests.faults.dying_hub", *arguments]
    with (
        (home.parent / "hub.log").open("ab") as stream,
        subprocess.Popen(command, env=environment, stdout=stream, stderr=stream) as popen,
    ):
        try:
            yield popen
        finally:
            popen.kill()


@dataclass
class Story:
    """A hub's home in which an improvement is to be done, whatever happens to the hub."""

    home: Path
    database: Database
    improvement: Improvement
    import_path: tuple[Path, ...]

    @property
    def diary(self) -> Path:
        return self.home.parent / "diary"

    def hub(
        self, die_at: str = "", *, source: Sequence[Path] = ()
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """As `hub_of`, with the family of the story."""
        return hub_of(self.home, die_at, import_path=(*source, *self.import_path))

    def dies(self, die_at: str) -> None:
        """Run a hub until it dies at this place."""
        with self.hub(die_at) as popen:
            until(lambda: self.has_ended(popen), 40)
            assert popen.wait() == -signal.SIGKILL, f"it did not die at {die_at}: {self.log()}"

    def ends(self, *, source: Sequence[Path] = ()) -> None:
        """Run a hub that nothing kills until the improvement has ended, then stop it."""
        with self.hub(source=source) as popen:
            until(lambda: self.has_ended(popen) or (self.read().is_final and self.answers()))
            popen.send_signal(signal.SIGTERM)
            assert popen.wait(60) == 0, self.log()

    def has_ended(self, popen: subprocess.Popen[bytes]) -> bool:
        """Whether the hub is gone. While it is not, the site does what it is told, as soon as the
        hub has seen that it does not yet."""
        known = self.read()
        if known.state is State.ROLLING_OUT and known.reason.startswith("0 of"):
            scene.obey(self.database)
        return popen.poll() is not None

    def answers(self) -> bool:
        """Whether the hub answers where its credentials file says."""
        url = json.loads((self.home / "credentials.json").read_bytes())["url"]
        try:
            return httpx2.get(f"{url}/api/v1/health", timeout=5).is_success
        except httpx2.TransportError:
            return False

    def log(self) -> str:
        return (self.home.parent / "hub.log").read_text()[-4000:]

    def read(self) -> Improvement:
        with self.database.reading() as session:
            return service.get(session, self.improvement.id)

    def lines(self) -> list[str]:
        """The words of the trainers' diary, in order."""
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def assert_done_once(self) -> None:
        """Everything happened, and nothing twice."""
        done = self.read()
        assert done.state is State.DONE, f"{done.reason} {self.log()}"
        assert [line.split()[0] for line in self.lines()].count("end") == 1
        with self.database.reading() as session:
            self._assert_rows(session, done)
            assert audit.verify(session).ok
            actions = [entry.action for entry in audit_store.stream(session)]
        assert [actions.count(f"improvement.{rule}") for rule in RULES] == [1] * len(RULES)
        assert actions.count("stack.gated") == 1
        for once in ("stack.registered", "release.signed", "rollout.started"):
            assert actions.count(once) == 1, once

    def _assert_rows(self, session: Session, done: Improvement) -> None:
        for name in (scene.DATASET, f"{scene.DATASET}-test"):
            assert [one.version for one in datasets.versions(session, name)] == [1]
        (stack,) = stacks.log(session, "caller")
        (release,) = releases.listing(session)
        (rollout,) = rollouts.listing(session)
        kinds = sorted(run.kind for run in runs.listing(session))
        assert kinds == ["gate", "tune"]
        assert (done.release_id, done.rollout_id) == (release.id, rollout.id)
        assert release.digest == stack.digest
        signed = Repository(self.home).targets(DEFAULT_PROJECT)
        assert signed == {f"default/caller/{stack.version}.json": stack.digest}
        site = sites.show(session, scene.SITES[0])
        assert [one.digest for one in site.desired.stacks] == [stack.digest]
        assert site.desired.generation == 1


@contextmanager
def open_story(folder: Path, method: Mapping[str, Any]) -> Iterator[Story]:
    """A story whose recipe's method has these keys and a diary."""
    home = folder / "home"
    prepare(home)
    database = Database(sqlite_url(home / "hub.db"))
    scene.add_sites(database)
    scene.add_reviewed(database, home)
    text = scene.recipe(diary=folder / "diary", **method)
    with database.transaction() as session:
        begun = service.start(session, scene.wanted(text), "operator:ann", needs_approval=False)
    site = scene.install_parrot(folder / "site")
    yield Story(home, database, begun, (site,))
    database.close()
    end_leftovers(home)


def prepare(home: Path) -> None:
    """Make a home that hubs can run in."""
    init_keys(home)
    homes.make_folders(home)
    homes.prepare(HubSettings(home=home))


def end_leftovers(home: Path) -> None:
    """End the workers that hubs of a home have left."""
    for path in (home / "runs").glob("*/"):
        for attempt in RunFolder(path).attempts():
            if (worker := attempt.identity()) is not None:
                processes.end(worker)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with open_story(tmp_path, {}) as story:
        yield story


@pytest.fixture
def held_story(tmp_path: Path) -> Iterator[Story]:
    """A story whose trainer waits for the file `go`."""
    with open_story(tmp_path, {"wait_for": tmp_path / "go"}) as story:
        yield story
