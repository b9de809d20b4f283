"""`dizuo keys`: making a hub's keys, on the hub's machine and without a running hub."""

from __future__ import annotations

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import print_fields, print_json, say
from dizuo.cli.settings_command import with_settings
from dizuo.core.settings import Settings
from dizuo.releases.keys import init_keys

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
