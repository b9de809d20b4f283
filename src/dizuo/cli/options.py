"""Options that several commands share, and options made from settings."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from dizuo.core.settings import Settings

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else there.")
]
"""Every command has it."""

DetachFlag = Annotated[
    bool, typer.Option("--detach", help="Print the run and return; it goes on without us.")
]

StackArgument = Annotated[
    str,
    typer.Argument(
        metavar="STACK",
        help="A stack version: NAME:VERSION, NAME for its newest, or a digest, sha256:….",
    ),
]
"""What the hub can find; a version that is given with a digest must have that digest."""


def setting(settings: type[Settings], field: str) -> Any:
    """The CLI flag of a setting: its name and sentence come from where it is declared.

    Use it as `Annotated[int | None, setting(HubSettings, "port")]` with the default None, and give
    the value to `Settings.load`, which falls back to the environment and the setting's default.
    """
    name = settings.environment_name(field)
    (row,) = [row for row in settings.rows() if row[0] == name]
    _, _, default, sentence = row
    shown = f"[{name}, default {default}]" if default else f"[{name}]"
    flag = f"--{field.replace('_', '-')}"
    return typer.Option(flag, help=f"{sentence} {escape(shown)}", show_default=False)
