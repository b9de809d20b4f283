"""The hub's application: every room's routes on one app, and the parts they share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request

from dizuo import __version__
from dizuo.access import accounts_api, audit_api
from dizuo.access import api as access_api
from dizuo.access import service as access
from dizuo.access.http import install_error_handler, secret_of
from dizuo.access.model import Surface
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.server import registry_routes
from dizuo.database.engine import Database
from dizuo.datasets import api as datasets_api
from dizuo.datasets import service as datasets
from dizuo.hub import home, maintenance
from dizuo.hub.chores import Chore, doing
from dizuo.hub.gatekeeper import Gatekeeper
from dizuo.hub.notes import EVERY_SECONDS, Notes
from dizuo.hub.settings import HubSettings
from dizuo.improvements import api as improvements_api
from dizuo.improvements.improver import Improver
from dizuo.improvements.steps import Parts
from dizuo.releases import api as releases_api
from dizuo.releases import service as releases
from dizuo.releases.repository import Repository
from dizuo.releases.roots import note_roots
from dizuo.releases.server import tuf_routes
from dizuo.runs import api as runs_api
from dizuo.runs import leftovers
from dizuo.runs.kinds import RunContext, installed_kinds
from dizuo.runs.supervisor import Supervisor
from dizuo.runs.watch import Limits
from dizuo.sites import api as sites_api
from dizuo.sites import edge_api
from dizuo.stacks import api as stacks_api

_ROUTERS = (
    access_api.router,
    accounts_api.router,
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
WITNESS = "hub:witness"
"""How it names what the hub found made beside it."""
_FRESHNESS_SECONDS = 3600.0
_WITNESS_SECONDS = 10.0
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

    Raises:
        DatabaseUnavailable: the database does not answer.
        KeysMissing: something is released, and the keys to sign it are gone.
    """
    with ExitStack() as opened:
        database = home.open_database(settings)
        opened.callback(database.close)
        layout = Layout(settings.home / "layout")
        repository = Repository(settings.home)
        _mend(settings, database, repository)
        context = RunContext(database, layout, settings.home)
        limits = Limits(parallel=settings.max_parallel_runs)
        supervisor = Supervisor(context, installed_kinds(), limits)
        parts = Parts(database, settings.home, repository, supervisor, settings.require_approval)
        improver = Improver(parts)
        # Closed in this order: the improver begins nothing more, the supervisor lets its steps go
        # that wait for runs, and then the improver's durable side can end.
        opened.callback(improver.close)
        opened.callback(supervisor.stop)
        opened.callback(improver.interrupt)
        supervisor.start()
        improver.launch(home.workflow_database_url(settings))
        opened.enter_context(_fresh(repository))
        opened.enter_context(_witness(database, repository))
        opened.enter_context(_tidy(supervisor))
        opened.enter_context(_noting(settings, supervisor))
        yield Hub(settings, database, layout, repository, supervisor, improver)


def _mend(settings: HubSettings, database: Database, repository: Repository) -> None:
    """Put right what a crash or a move of the home folder left behind."""
    if left := leftovers.clear_inspections(settings.home):
        _logger.info("removed %d half unpacked models that a killed hub left", left)
    note_roots(database, repository, STARTER)
    with database.transaction() as session:
        datasets.relocate(session, datasets.root_of(settings.home), STARTER)
        if repository.is_ready:
            releases.reconcile(session, repository)


def _fresh(repository: Repository) -> AbstractContextManager[None]:
    """Keep signed metadata from expiring."""

    def refresh() -> None:
        if repository.is_ready:
            repository.refresh()

    complaint = "signed metadata could not be refreshed"
    return doing(Chore("tuf-freshness", complaint, _FRESHNESS_SECONDS, refresh))


def _witness(database: Database, repository: Repository) -> AbstractContextManager[None]:
    """Note in the audit log when root keys are made or renewed while the hub runs."""
    return doing(
        Chore(
            "root-witness",
            "a root of trust could not be noted in the audit log",
            _WITNESS_SECONDS,
            lambda: note_roots(database, repository, WITNESS),
        )
    )


def _tidy(supervisor: Supervisor) -> AbstractContextManager[None]:
    """Give back the room that nobody needs, while this is the process that leads in its home."""
    return doing(
        Chore(
            "maintenance",
            "the hub's home could not be tidied",
            maintenance.EVERY_SECONDS,
            lambda: maintenance.maintain(supervisor.context),
            supervisor.leading,
        )
    )


def _noting(settings: HubSettings, supervisor: Supervisor) -> AbstractContextManager[None]:
    """Keep the histories that the console shows, while this is the process that leads."""
    notes = Notes(supervisor.context.database, settings.home, settings.poll_seconds)
    complaint = "the histories of figures could not be kept"
    return doing(Chore("notes", complaint, EVERY_SECONDS, notes.take, supervisor.leading))


def create_app(settings: HubSettings) -> FastAPI:
    """The hub's routes as an ASGI app; `attach` gives it the parts that they work on."""
    app = FastAPI(
        title="dizuo hub",
        version=__version__,
        docs_url="/api/v1/docs",
        openapi_url="/api/v1/openapi.json",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    install_error_handler(app)
    app.add_middleware(Gatekeeper)
    for router in _ROUTERS:
        app.include_router(router)
    app.add_api_route("/api/v1/health", _health, methods=["GET"], tags=["health"])
    layout, repository = Layout(settings.home / "layout"), Repository(settings.home)
    app.router.routes.extend(registry_routes(layout, _registry_project))
    app.router.routes.extend(tuf_routes(repository, layout, _registry_project))
    return app


def attach(app: FastAPI, hub: Hub) -> None:
    """Let an app answer from a running hub."""
    app.state.settings = hub.settings
    app.state.home = hub.settings.home
    app.state.database = hub.database
    app.state.layout = hub.layout
    app.state.repository = hub.repository
    app.state.supervisor = hub.supervisor
    app.state.improver = hub.improver


def _registry_project(request: Request) -> str:
    """The project that a registry credential may read."""
    secret = secret_of(request.headers.get("authorization", ""))
    with request.app.state.database.reading() as session:
        return access.recognise(session, secret, Surface.REGISTRY).project_id


def _health() -> dict[str, str]:
    """Answers as long as the hub does; needs no credential and tells nothing else."""
    return {"status": "ok", "version": __version__}
