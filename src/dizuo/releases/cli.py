"""`dizuo keys`: making a hub's keys, on the hub's machine and without a running hub."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import moment, print_fields, print_json, say
from dizuo.cli.settings_command import with_settings
from dizuo.core.settings import Settings, using_home
from dizuo.releases.keys import init_keys
from dizuo.releases.renewal import renew

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """The keys that a hub signs with.

    Example: dizuo keys init
    """


@app.command("init")
@with_settings(Settings)
def init(settings: Settings, as_json: JsonFlag = False) -> None:
    """Make every key and the first signed metadata in a hub's home.

    Example: dizuo keys init --home ~/.dizuo
    """
    with using_home(settings.home):
        made = init_keys(settings.home)
    if as_json:
        print_json(
            {
                "offline": str(made.offline),
                "online": str(made.online),
                "root_sha256": made.root_sha256,
                "next_step": made.next_step,
            }
        )
        return
    print_fields(
        (
            ("offline keys", made.offline),
            ("online keys", made.online),
            ("root", made.root_sha256),
        )
    )
    say(made.next_step)


@app.command("renew")
@with_settings(Settings)
def renew_command(
    settings: Settings,
    offline: Annotated[
        Path | None,
        typer.Option(help="The folder of offline keys; without it, the one in the hub's home."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign root and top-level targets for another two years, with the offline keys.

    Example: dizuo keys renew --offline /media/safe/offline
    """
    with using_home(settings.home):
        made = renew(settings.home, offline or settings.home / "keys" / "offline")
    if as_json:
        print_json(asdict(made))
        return
    print_fields(
        (
            ("root", f"version {made.root_version}"),
            ("targets", f"version {made.targets_version}"),
            ("good until", moment(made.expires_ms)),
        )
    )
