"""The hub's application: every room's routes on one app, and the parts they share."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request

from dizuo import __version__
from dizuo.access import api as access_api
from dizuo.access import audit_api
from dizuo.access import service as access
from dizuo.access.http import install_error_handler, secret_of
from dizuo.access.model import Surface
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.server import registry_routes
from dizuo.core.clock import now_ms
from dizuo.core.errors import DizuoError
from dizuo.database.engine import Database
from dizuo.datasets import api as datasets_api
from dizuo.datasets import service as datasets
from dizuo.datasets import uploads
from dizuo.hub import home
from dizuo.hub.settings import HubSettings
from dizuo.improvements import api as improvements_api
from dizuo.improvements import workflow
from dizuo.improvements.steps import Improver, Parts
from dizuo.releases import api as releases_api
from dizuo.releases import service as releases
from dizuo.releases.repository import Repository
from dizuo.releases.server import tuf_routes
from dizuo.runs import api as runs_api
from dizuo.runs.kinds import RunContext, installed_kinds
from dizuo.runs.supervisor import Supervisor
from dizuo.runs.watch import Limits
from dizuo.sites import api as sites_api
from dizuo.sites import edge_api
from dizuo.stacks import api as stacks_api

_ROUTERS = (
    access_api.router,
    audit_api.router,
    datasets_api.router,
    stacks_api.router,
    runs_api.router,
    releases_api.router,
    sites_api.router,
    improvements_api.router,
    edge_api.router,
)
STARTER = "hub:start"
"""How the audit log names what was put right at a start."""
_FRESHNESS_SECONDS = 3600.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub's parts."""

    settings: HubSettings
    database: Database
    layout: Layout
    repository: Repository
    supervisor: Supervisor
    improver: Improver


@contextmanager
def running_hub(settings: HubSettings) -> Iterator[Hub]:
    """Open every part, go on with whatever was under way, and close them in the reverse order.

    Runs that train stay alive when the hub stops; the next hub in this home adopts them.
    """
    database = home.open_database(settings)
    layout = Layout(settings.home / "layout")
    repository = Repository(settings.home)
    context = RunContext(database, layout, settings.home)
    limits = Limits(parallel=settings.max_parallel_runs)
    supervisor = Supervisor(context, installed_kinds(), limits)
    parts = Parts(database, settings.home, repository, supervisor, settings.require_approval)
    improver = Improver(parts)
    _mend(settings, database, repository)
    supervisor.start()
    improver.launch(home.workflow_database_url(settings))
    stop = threading.Event()
    freshness = threading.Thread(
        target=_keep_fresh, args=(repository, stop), name="tuf-freshness", daemon=True
    )
    freshness.start()
    try:
        yield Hub(settings, database, layout, repository, supervisor, improver)
    finally:
        stop.set()
        freshness.join()
        workflow.shut_down()
        supervisor.stop()
        database.close()


def _mend(settings: HubSettings, database: Database, repository: Repository) -> None:
    """Put right what a crash or a move of the home folder left behind."""
    uploads.sweep(settings.home, now_ms())
    with database.transaction() as session:
        datasets.relocate(session, datasets.root_of(settings.home), STARTER)
        if repository.is_ready:
            releases.reconcile(session, repository)


def _keep_fresh(repository: Repository, stop: threading.Event) -> None:
    while True:
        try:
            if repository.is_ready:
                repository.refresh()
        except DizuoError as error:
            _logger.warning("signed metadata could not be refreshed: %s", error)
        if stop.wait(_FRESHNESS_SECONDS):
            return


def create_app(settings: HubSettings) -> FastAPI:
    """The hub as an ASGI app; its parts are opened when the server starts it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with running_hub(settings) as hub:
            app.state.settings = settings
            app.state.home = settings.home
            app.state.database = hub.database
            app.state.layout = hub.layout
            app.state.repository = hub.repository
            app.state.supervisor = hub.supervisor
            app.state.improver = hub.improver
            yield

    app = FastAPI(
        title="dizuo hub",
        version=__version__,
        lifespan=lifespan,
        docs_url="/api/v1/docs",
        openapi_url="/api/v1/openapi.json",
        redoc_url=None,
    )
    install_error_handler(app)
    for router in _ROUTERS:
        app.include_router(router)
    app.add_api_route("/api/v1/health", _health, methods=["GET"], tags=["health"])
    layout, repository = Layout(settings.home / "layout"), Repository(settings.home)
    app.router.routes.extend(registry_routes(layout, _registry_project))
    app.router.routes.extend(tuf_routes(repository, layout, _registry_project))
    return app


def _registry_project(request: Request) -> str:
    """The project that a registry credential may read."""
    secret = secret_of(request.headers.get("authorization", ""))
    with request.app.state.database.reading() as session:
        return access.recognise(session, secret, Surface.REGISTRY).project_id


def _health() -> dict[str, str]:
    """Answers as long as the hub does; needs no credential and tells nothing else."""
    return {"status": "ok", "version": __version__}
