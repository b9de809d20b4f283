"""One real hub and one real browser for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.rig.browser import Chromium
from tests.cli.door import ok
from tests.console.browsing import Visitor, chromium, visiting

from dizuo.client.credentials import ClientSettings, find_credentials
from dizuo.client.hub import HubClient
from dizuo.database.engine import Database, sqlite_url
from dizuo.demo.processes import Fleet, free_port, wait_until_answers

PASSWORD = "correct horse battery"
PEOPLE = {"mei": "admin", "lin": "releaser", "bo": "builder", "rui": "reader"}


@dataclass(frozen=True, slots=True)
class Place:
    """A running hub: its folder, its address, its API for an admin, and its database."""

    home: Path
    url: str
    client: HubClient
    database: Database


@pytest.fixture(scope="package", autouse=True)
def _nothing_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the person who runs the tests gets in."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith("DIZUO_"):
                environment.delenv(name)
        environment.setenv("DIZUO_HOME", str(tmp_path_factory.mktemp("nobody") / "home"))
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """Debian's browser. Its event loop runs in this thread as long as it is open, so it is not left
    open for the tests of other files."""
    with chromium() as opened:
        yield opened


@contextmanager
def running_hub(folder: Path, settings: dict[str, str]) -> Iterator[Place]:
    """A fresh hub with PEOPLE, all of whom have the same password; `settings` are its own, as its
    environment has them."""
    home, port = folder / "home", free_port()
    ok("--home", str(home), "keys", "init")
    with Fleet(folder / "logs") as fleet:
        url = f"http://127.0.0.1:{port}"
        process = fleet.start("hub", ["up", "--home", str(home), "--port", str(port)], settings)
        wait_until_answers(process, f"{url}/api/v1/health")
        known = find_credentials(ClientSettings.load(home=home))
        database = Database(sqlite_url(home / "hub.db"))
        try:
            with HubClient(known.url, known.token) as client:
                for name, role in PEOPLE.items():
                    client.create_account(name, role, PASSWORD)
                yield Place(home, url, client, database)
        finally:
            database.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all tests of a file."""
    with running_hub(tmp_path_factory.mktemp("console"), {}) as running:
        yield running


@pytest.fixture
def visitor(place: Place, browser: Chromium) -> Iterator[Visitor]:
    """An admin who has signed in; no page may have complained when the test ends."""
    with visiting(browser, place.url) as one:
        one.sign_in("mei", PASSWORD)
        yield one
        assert one.faults == []
