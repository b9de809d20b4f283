"""Sites that have joined, releases to direct them to, and an app with this room's routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.sites.fleet import Fleet

from dizuo.access import service as access
from dizuo.access.http import install_error_handler
from dizuo.access.model import Role, Surface
from dizuo.database.engine import Database
from dizuo.releases.keys import init_keys
from dizuo.releases.repository import Repository
from dizuo.sites import api, edge_api

Caller = Callable[[Role], TestClient]


@dataclass(frozen=True)
class Settings:
    """The hub's settings that this room reads."""

    url: str = "http://127.0.0.1:8420"
    poll_seconds: float = 7.5


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """One repository for all tests of this room: they only ever sign the same stacks in it."""
    home = tmp_path_factory.mktemp("hub")
    init_keys(home)
    return Repository(home)


@pytest.fixture
def fleet(database: Database, repository: Repository) -> Fleet:
    """A hub without sites yet."""
    return Fleet(database, repository)


@pytest.fixture
def any_fleet(any_database: Database, repository: Repository) -> Fleet:
    """Like `fleet`, once on each database engine."""
    return Fleet(any_database, repository)


@pytest.fixture
def fleet3(fleet: Fleet) -> Fleet:
    """Three sites; `meter-reading` 1 and 2 and `gauges` 1 are released."""
    fleet.join("a", "b", "c")
    fleet.release(version=1)
    fleet.release(version=2)
    fleet.release("gauges", 1)
    return fleet


@pytest.fixture
def app(database: Database, repository: Repository, tmp_path: Path) -> FastAPI:
    """An app as the hub builds it, with the routes of this room only."""
    app = FastAPI()
    app.state.database = database
    app.state.repository = repository
    app.state.settings = Settings()
    app.state.home = tmp_path / "home"
    app.include_router(api.router)
    app.include_router(edge_api.router)
    install_error_handler(app)
    return app


@pytest.fixture
def anybody(app: FastAPI) -> Iterator[TestClient]:
    """A client without a credential."""
    with TestClient(app) as client:
        yield client


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
