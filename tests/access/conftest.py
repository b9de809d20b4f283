"""An app as the hub builds it, with the routes of this room only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.access.people import Town

from dizuo.access import accounts_api, api, audit_api, passwords, service
from dizuo.access.http import Site, install_error_handler
from dizuo.access.model import Role, Surface
from dizuo.database.engine import Database

Caller = Callable[[Role], TestClient]


def make_app(database: Database) -> FastAPI:
    """The app; `/edge/me` stands for every route of agents, `/fault` for a defect of ours."""
    app = FastAPI()
    app.state.database = database
    app.include_router(api.router)
    app.include_router(accounts_api.router)
    app.include_router(audit_api.router)
    install_error_handler(app)

    @app.get("/edge/me")
    def me(site: Site) -> dict[str, str]:
        return {"name": site.name}

    @app.get("/fault")
    def fault() -> None:
        raise ZeroDivisionError("a secret detail")

    return app


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> PasswordHasher:
    """Passwords are hashed with the least work that argon2 allows."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    return hasher


@pytest.fixture
def town(database: Database, quick: PasswordHasher) -> Town:
    return Town(database)


@pytest.fixture
def any_town(any_database: Database, quick: PasswordHasher) -> Town:
    """Like `town`, once on each database."""
    return Town(any_database)


@pytest.fixture
def app(database: Database) -> FastAPI:
    return make_app(database)


@pytest.fixture
def call_as(app: FastAPI, database: Database) -> Iterator[Caller]:
    """A client whose token has the given role and is named after it."""
    opened = []

    def client(role: Role) -> TestClient:
        with database.transaction() as session:
            secret = service.issue(session, "test", Surface.API, role.word, role=role)
        opened.append(
            TestClient(
                app,
                headers={"Authorization": f"Bearer {secret}"},
                raise_server_exceptions=False,
            )
        )
        return opened[-1]

    yield client
    for one in opened:
        one.close()
