"""The console as a part of the hub's application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from nicegui import app as pages
from nicegui import ui
from starlette.staticfiles import StaticFiles

from dizuo.console import preferences, signing_in
from dizuo.console.data import import_work
from dizuo.console.data import pictures as data_pictures
from dizuo.console.elements.pictures import SmallPictures
from dizuo.console.gate import Gate
from dizuo.console.live import Feeds
from dizuo.console.parts import Parts
from dizuo.console.plain import told
from dizuo.console.presence import Presence
from dizuo.console.review import pictures as sample_pictures
from dizuo.console.stacks import pictures as stack_pictures
from dizuo.console.work import Works

_STATIC = Path(__file__).parent / "static"
_PAGES = (
    "overview.page",
    "releases.rollout_start",
    "data.importing",
    "data.listing",
    "data.version",
    "runs.listing",
    "runs.new_run",
    "runs.comparing",
    "runs.run",
    "stacks.listing",
    "stacks.version",
    "review.queue",
    "review.labelling",
    "releases.listing",
    "releases.rollouts",
    "sites.listing",
    "sites.joining",
    "sites.site",
    "approvals.listing",
    "approvals.improvement_start",
    "approvals.improvement",
    "audit.log",
    "people.listing",
    "people.person",
    "people.own_account",
)
"""In the order in which their addresses are tried: `/releases/rollouts/new` is no rollout's."""
_RECONNECT_SECONDS = 30.0


def mount(app: FastAPI, parts: Parts) -> None:
    """Let the hub's app serve the console at `/`, where none of its own routes has the address.

    The app's lifespan starts and ends what the pages need, so the server must run it.
    """
    console = _console()
    console.state.parts = pages.state.parts = parts
    pages.state.feeds = Feeds()
    pages.state.presence = Presence(parts.database)
    works = console.state.works = pages.state.works = Works()
    console.state.small_pictures = SmallPictures()
    app.router.default = Gate(console, lambda: parts.database)
    around = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: FastAPI) -> AsyncIterator[None]:
        async with around(outer), console.router.lifespan_context(console):
            watching = asyncio.create_task(pages.state.presence.watch())
            try:
                yield
            finally:
                watching.cancel()
                works.close()

    app.router.lifespan_context = lifespan


@cache
def _console() -> FastAPI:
    """The one application of this process: NiceGUI has no second."""
    console = FastAPI(title="dizuo console", docs_url=None, redoc_url=None, openapi_url=None)
    console.include_router(signing_in.router)
    console.include_router(preferences.router)
    console.include_router(data_pictures.router)
    console.include_router(import_work.router)
    console.include_router(stack_pictures.router)
    console.include_router(sample_pictures.router)
    console.mount("/console/static", StaticFiles(directory=_STATIC))
    pages.add_exception_handler(404, _no_page)
    pages.add_exception_handler(RequestValidationError, _no_page)
    for name in _PAGES:
        import_module(f"dizuo.console.{name}")
    ui.add_head_html(
        '<link rel="stylesheet" href="/console/static/console.css">'
        '<link rel="icon" href="/console/static/icon.svg">',
        shared=True,
    )
    # Quasar's bar for each request that a script makes has no name, and tells nobody anything.
    pages.config.quasar_config["loadingBar"]["skipHijack"] = True
    ui.run_with(
        console,
        title="dizuo",
        dark=None,
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=_RECONNECT_SECONDS,
        show_welcome_message=False,
    )
    return console


def _no_page(request: Request, _error: Exception) -> Response:
    """Where there is no page; of NiceGUI's own files a browser needs no page about that."""
    if request.url.path.startswith("/_nicegui"):
        return PlainTextResponse("There is no such file.", 404)
    return told("no_page", 404)
