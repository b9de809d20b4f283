"""A hub's parts in a folder, supervisors that are stopped at the end, and the counting kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dizuo.artifacts.layout import Layout
from dizuo.audit import store as audit_store
from dizuo.core.ids import new_id
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.runs import process, service
from dizuo.runs.folder import RunFolder, run_folder
from dizuo.runs.kinds import RunContext, installed_kinds
from dizuo.runs.model import Run
from dizuo.runs.supervisor import Supervisor
from dizuo.runs.watch import Limits

WAIT_SECONDS = 60.0
"""Long enough for a busy machine; nothing waits that long unless it is broken."""
QUICK = Limits(
    poll_seconds=0.02, beat_seconds=0.1, lease_seconds=20, cancel_grace_seconds=20, threads=1
)


def until(what: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Return once `what()` is true; fail if it never is."""
    pause = threading.Event()
    for _ in range(round(seconds / 0.01)):
        if what():
            return
        pause.wait(0.01)
    pytest.fail(f"this did not happen within {seconds} s")


@pytest.fixture
def counting_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the counting kind as pip would: a distribution with an entry point."""
    information = tmp_path / "site" / "counting-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[dizuo.run_kinds]\ncounting = tests.runs.counting:KIND\n"
    )
    monkeypatch.syspath_prepend(str(information.parent))


@dataclass
class Bench:
    """A home with a database, and what tests do with it."""

    context: RunContext
    diary: Path
    supervisors: list[Supervisor]

    @property
    def home(self) -> Path:
        return self.context.home

    def submit(self, steps: int = 3, **spec: Any) -> Run:
        full = {"steps": steps, "diary": str(self.diary), **spec}
        with self.context.database.transaction() as session:
            return service.submit(session, "counting", full, new_id(), "operator:ann")

    def cancel(self, run: Run) -> None:
        with self.context.database.transaction() as session:
            service.cancel(session, run.id, "operator:ann")

    def read(self, run: Run) -> Run:
        with self.context.database.reading() as session:
            return service.get(session, run.id)

    def supervise(self, limits: Limits = QUICK) -> Supervisor:
        supervisor = Supervisor(self.context, installed_kinds(), limits)
        supervisor.start()
        self.supervisors.append(supervisor)
        return supervisor

    def folder(self, run: Run) -> RunFolder:
        return run_folder(self.home, run.id)

    def reached(self, place: str) -> None:
        """Wait until the work is at this place."""
        until((self.diary / f"at-{place}").exists)

    def release(self, place: str) -> None:
        (self.diary / f"go-{place}").touch()

    def lines(self) -> list[str]:
        """The diary, without who wrote it."""
        diary = self.diary / "steps"
        lines = diary.read_text().splitlines() if diary.exists() else []
        return [line.split(" ", 1)[1] for line in lines]

    def began(self, times: int) -> None:
        """Wait until the work has been begun that often."""
        until(lambda: sum(line.startswith("begin") for line in self.lines()) == times)

    def actions(self) -> list[str]:
        """What the audit log holds, in order."""
        with self.context.database.reading() as session:
            return [entry.action for entry in audit_store.stream(session)]


@pytest.fixture
def bench(tmp_path: Path, counting_installed: None) -> Iterator[Bench]:
    home, diary = tmp_path / "home", tmp_path / "diary"
    (home / "runs").mkdir(parents=True)
    diary.mkdir()
    database = Database(sqlite_url(home / "hub.db"))
    Row.metadata.create_all(database.engine)
    bench = Bench(RunContext(database, Layout(home / "layout"), home), diary, [])
    yield bench
    for supervisor in bench.supervisors:
        supervisor.stop()
    for path in (home / "runs").glob("*/"):
        _end_leftovers(RunFolder(path))
    database.close()


def _end_leftovers(folder: RunFolder) -> None:
    for attempt in folder.attempts():
        if (worker := attempt.identity()) is not None:
            process.end(worker)
            process.reap(worker.pid)
    until(lambda: not folder.is_locked())
