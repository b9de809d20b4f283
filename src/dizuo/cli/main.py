"""`dizuo`: the root of all commands, and the one place where their errors are told."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from dizuo import __version__
from dizuo.cli.doors import DoorGroup
from dizuo.cli.options import setting
from dizuo.cli.output import print_error, print_json, say
from dizuo.client.credentials import ClientSettings
from dizuo.client.errors import HubError
from dizuo.core.clock import iso, now_ms
from dizuo.core.errors import DizuoError

_PROGRAM = "dizuo"

app = typer.Typer(cls=DoorGroup, name=_PROGRAM, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True, no_args_is_help=True)
def root(
    context: typer.Context,
    home: Annotated[Path | None, setting(ClientSettings, "home")] = None,
    url: Annotated[str | None, setting(ClientSettings, "url")] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Build, gate, sign, ship, serve and improve models as stacks of layers.

    The flags here say which hub the other commands talk to.

    Example: dizuo --url http://127.0.0.1:8420 site ls
    """
    context.obj = ClientSettings.load(home=home, url=url)
    if version:
        say(f"{_PROGRAM} {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.BadParameter("name one; dizuo --help lists them", param_hint="COMMAND")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 when done, 1 when it failed, 2 when it was called wrongly."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        get_command(app).main(given, prog_name=_PROGRAM)
    except DizuoError as error:
        _tell(error, as_json="--json" in given)
    except Exception as error:  # noqa: BLE001  the process ends here; the log gets the traceback
        _tell(_unexpected(error), as_json="--json" in given)
    sys.exit(1)


def _tell(error: DizuoError, *, as_json: bool) -> None:
    if as_json:
        print_json(error.as_dict())
    print_error(error, error.problems if isinstance(error, HubError) else ())


def _unexpected(error: Exception) -> DizuoError:
    """A defect of ours: the traceback goes to a file, a sentence to the person."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="dizuo-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write(f"{iso(now_ms())} {_PROGRAM} {__version__}\n")
        traceback.print_exception(error, file=log)
    return DizuoError(
        f"dizuo failed in a way it should not ({type(error).__name__}).",
        next_step=f"The details are in {log.name}; please report them.",
    )


if __name__ == "__main__":
    main()
