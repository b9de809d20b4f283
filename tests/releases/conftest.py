"""A hub's keys and repository, and stacks with and without a passed gate report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.releases.stacks import HubClock

from dizuo.access import service as access
from dizuo.access.http import install_error_handler
from dizuo.access.model import Role, Surface
from dizuo.database.engine import Database
from dizuo.releases import api
from dizuo.releases.keys import init_keys
from dizuo.releases.repository import Repository

Caller = Callable[[Role], TestClient]


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after `dizuo keys init`; tests copy it."""
    home = tmp_path_factory.mktemp("fresh") / "home"
    init_keys(home)
    return home


@pytest.fixture
def home(fresh_home: Path, tmp_path: Path) -> Path:
    """A hub's home with keys and metadata."""
    shutil.copytree(fresh_home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def clock() -> HubClock:
    """The hub's clock."""
    return HubClock()


@pytest.fixture
def repository(home: Path, clock: HubClock) -> Repository:
    """The repository in that home."""
    return Repository(home, clock=clock)


@pytest.fixture
def app(database: Database, repository: Repository) -> FastAPI:
    """An app as the hub builds it, with the routes of this room only."""
    app = FastAPI()
    app.state.database = database
    app.state.repository = repository
    app.include_router(api.router)
    install_error_handler(app)
    return app


@pytest.fixture
def call_as(app: FastAPI, database: Database) -> Iterator[Caller]:
    """A client whose token has the given role and is named after it."""
    opened = []

    def client(role: Role) -> TestClient:
        with database.transaction() as session:
            secret = access.issue(session, "test", Surface.API, role.word, role=role)
        opened.append(TestClient(app, headers={"Authorization": f"Bearer {secret}"}))
        return opened[-1]

    yield client
    for one in opened:
        one.close()
