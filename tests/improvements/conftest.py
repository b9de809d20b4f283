"""The family `parrot`, installed, and homes to run the loop in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from tests.improvements import scene
from tests.improvements.scene import ANN

from dizuo.artifacts.layout import Layout
from dizuo.audit import store as audit_store
from dizuo.audit.model import AuditEntry
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.families.registry import family_packages
from dizuo.improvements import service
from dizuo.improvements.improver import Improver
from dizuo.improvements.model import Improvement, State
from dizuo.improvements.steps import Parts
from dizuo.releases.keys import init_keys
from dizuo.releases.repository import Repository
from dizuo.runs.kinds import RunContext, installed_kinds
from dizuo.runs.supervisor import Supervisor
from dizuo.runs.watch import Limits

QUICK = Limits(poll_seconds=0.02, beat_seconds=0.2, threads=1)
WAIT_SECONDS = 100.0


@pytest.fixture(scope="package", autouse=True)
def parrot_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = scene.install_parrot(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        family_packages.cache_clear()
        yield
    family_packages.cache_clear()


def until(what: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Return once `what()` is true; fail if it never is."""
    pause = threading.Event()
    for _ in range(round(seconds / 0.02)):
        if what():
            return
        pause.wait(0.02)
    pytest.fail(f"this did not happen within {seconds} s")


@dataclass
class Works:
    """A hub's parts in a home, with sites and an improver that may not be launched yet."""

    parts: Parts
    improver: Improver

    @property
    def database(self) -> Database:
        return self.parts.database

    @property
    def home(self) -> Path:
        return self.parts.home

    def review(self, count: int = 12, **sent: Any) -> list[str]:
        return scene.add_reviewed(self.database, self.home, count, **sent)

    def start(self, text: str = scene.RECIPE, **changes: Any) -> Improvement:
        return self.improver.start(scene.wanted(text, **changes), ANN)

    def read(self, improvement: Improvement) -> Improvement:
        with self.database.reading() as session:
            return service.get(session, improvement.id)

    def rests(self, improvement: Improvement, *states: State) -> Improvement:
        """The improvement once it is in one of these states. Sites do what they are told, unless
        it is their being on the way that is waited for."""

        def is_there() -> bool:
            state = self.read(improvement).state
            if state is State.ROLLING_OUT and state not in states:
                scene.obey(self.database)
            return state in states

        until(is_there)
        return self.read(improvement)

    def entries(self, action: str) -> list[dict[str, Any]]:
        """The details of the audit entries of an action, in order."""
        return [entry.detail for entry in self.audited(action)]

    def audited(self, action: str) -> list[AuditEntry]:
        """The audit entries of an action, in order."""
        with self.database.reading() as session:
            return [entry for entry in audit_store.stream(session) if entry.action == action]

    def ask(self, question: Callable[[Session], Any]) -> Any:
        with self.database.reading() as session:
            return question(session)


@contextmanager
def open_works(
    home: Path, database: Database, *, supervise: bool = True, **options: Any
) -> Iterator[Works]:
    """Works in a home that has keys; `options` go into the parts."""
    if not (home / "keys").exists():
        init_keys(home)
    supervisor = Supervisor(
        RunContext(database, Layout(home / "layout"), home), installed_kinds(), QUICK
    )
    values = {"repository": Repository(home), "require_approval": False, **options}
    parts = Parts(database=database, home=home, supervisor=supervisor, **values)
    improver = Improver(parts, pause_seconds=0.02, look_seconds=0.1)
    if supervise:
        supervisor.start()
    try:
        yield Works(parts, improver)
    finally:
        improver.interrupt()
        supervisor.stop(end_workers=True)


@contextmanager
def launched(works: Works, url: str = "") -> Iterator[Works]:
    """The same works with workflows running."""
    works.improver.launch(url or sqlite_url(works.home / "dbos.db"))
    try:
        yield works
    finally:
        works.improver.interrupt()
        works.parts.supervisor.stop()
        works.improver.close()


@contextmanager
def open_home(home: Path, **options: Any) -> Iterator[Works]:
    """Works in a home on SQLite, with sites; what is there already is gone on with."""
    home.mkdir(exist_ok=True)
    is_new = not (home / "hub.db").exists()
    database = Database(sqlite_url(home / "hub.db"))
    if is_new:
        Row.metadata.create_all(database.engine)
        scene.add_sites(database)
    with open_works(home, database, **options) as works:
        yield works
    database.close()


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    """Works whose improver is not launched: tests advance by hand, and no run is started."""
    with open_home(tmp_path / "home", supervise=False) as works:
        yield works
