"""`dizuo up`: start the hub."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import print_fields, print_json, say
from dizuo.cli.settings_command import with_settings
from dizuo.console import app as console
from dizuo.console.parts import Parts
from dizuo.core.connections import KEEP_ALIVE_SECONDS
from dizuo.hub import home as homes
from dizuo.hub.app import Hub, attach, create_app, running_hub
from dizuo.hub.listening import listen
from dizuo.hub.settings import HubSettings

_DRAIN_SECONDS = 5


@with_settings(HubSettings)
def up(settings: HubSettings, as_json: JsonFlag = False) -> None:
    """Start the hub and keep it running until Ctrl-C or SIGTERM.

    The first start makes an admin's token and leaves it in credentials.json in the home folder,
    where the other commands find it.

    Example: dizuo up --home ~/.dizuo --port 8420
    """
    with closing(listen(settings)) as listening:
        homes.make_folders(settings.home)
        app = create_app(settings)
        server = _server(settings, app)
        with _ended_when_told(server), homes.exclusive(settings):
            is_first = homes.prepare(settings)
            _announce(settings, is_first=is_first, as_json=as_json)
            _open_and_serve(settings, app, server, listening)


def _open_and_serve(
    settings: HubSettings, app: FastAPI, server: uvicorn.Server, listening: socket.socket
) -> None:
    with running_hub(settings) as hub:
        attach(app, hub)
        console.mount(app, _parts(hub))
        if not server.should_exit:
            server.run(sockets=[listening])


def _announce(settings: HubSettings, *, is_first: bool, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "url": settings.url,
        "home": str(settings.home),
        "credentials": str(settings.home / "credentials.json"),
        "api": f"{settings.url}/api/v1/docs",
        "first_start": is_first,
        "keys": (settings.home / "keys" / "online").is_dir(),
    }
    if as_json:
        print_json(facts)
        return
    say(f"The hub starts at {settings.url}.", style="bold")
    print_fields((name, facts[name]) for name in ("home", "credentials", "api"))
    if not facts["keys"]:
        say(f"To sign releases it needs keys: dizuo --home {settings.home} keys init")
    if is_first:
        home = f"--home {settings.home}"
        say(
            f"To let people sign in, make an account: dizuo {home} account create NAME --role admin"
        )


@contextmanager
def _ended_when_told(server: uvicorn.Server) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the hub in good order, also while it starts.

    They are a wish that the server keeps until it looks: an exception wherever they come would
    leave parts half open, or get lost in code that lets none out. A second one breaks off.
    """

    def tell(_number: int, _frame: object) -> None:
        if server.should_exit:
            raise KeyboardInterrupt
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    with suppress(KeyboardInterrupt):
        yield


def _server(settings: HubSettings, app: FastAPI) -> uvicorn.Server:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        access_log=False,
        log_level="warning",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    return uvicorn.Server(config)


def _parts(hub: Hub) -> Parts:
    """What the console works on."""
    return Parts(
        home=hub.settings.home,
        url=hub.settings.url,
        poll_seconds=hub.settings.poll_seconds,
        second_share=hub.settings.review_second_share,
        database=hub.database,
        layout=hub.layout,
        repository=hub.repository,
        supervisor=hub.supervisor,
        improver=hub.improver,
    )
