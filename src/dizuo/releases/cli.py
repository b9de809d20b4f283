"""`dizuo keys`: making a hub's keys, on the hub's machine and without a running hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dizuo.cli.options import JsonFlag, setting
from dizuo.cli.output import print_fields, print_json, say
from dizuo.core.settings import Settings
from dizuo.releases.keys import init_keys

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """The keys that a hub signs with.

    Example: dizuo keys init
    """


@app.command("init")
def init(
    home: Annotated[Path | None, setting(Settings, "home")] = None, as_json: JsonFlag = False
) -> None:
    """Make every key and the first signed metadata in a hub's home.

    Example: dizuo keys init --home ~/.dizuo
    """
    made = init_keys(Settings.load(home=home).home)
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
