"""The commands that are installed: entry points of the group `dizuo.cli`, loaded when asked for.

An entry point names a Typer app or a function. It may say in brackets which extra it needs
(`up = "dizuo.hub.cli:up [hub]"`): where that extra is not installed, the command is still listed,
and says in one sentence how to get it. Loading no command but the one that runs keeps the agent
small and the door quick.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup
from typer.main import get_command

from dizuo.core.errors import DizuoError

ENTRY_POINT_GROUP = "dizuo.cli"
_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


class PackagesMissing(DizuoError):
    """A command needs packages of an extra that is not installed."""

    code = "packages_missing"


class PackageBroken(DizuoError):
    """A command's package is installed, but cannot be imported."""

    code = "package_broken"


class DoorCommands(UserDict[str, Any]):
    """Commands by name, each loaded when it is first looked at."""

    def __getitem__(self, name: str) -> Any:
        """The command, or one that says what is missing."""
        found = self.data[name]
        if isinstance(found, EntryPoint):
            found = self.data[name] = load_command(found)
        return found


class DoorGroup(TyperGroup):
    """The root of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        points = entry_points(group=ENTRY_POINT_GROUP)
        self.commands = DoorCommands({name: points[name] for name in sorted(points.names)})

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002  the base class names it
        """Every name, loading nothing."""
        return list(self.commands)


def load_command(point: EntryPoint) -> Any:
    """The command of an entry point; where it cannot be loaded, one that says why.

    One broken package must not close the door for all the others.
    """
    try:
        return _as_command(point.name, point.load())
    except ModuleNotFoundError as error:
        name = error.name or "a package"
        if name.partition(".")[0] == "dizuo":
            return _as_command(point.name, _explain(_broken(point, error)), _ANYTHING)
        return _as_command(point.name, _explain(_missing(point, name)), _ANYTHING)
    except (ImportError, AttributeError) as error:
        return _as_command(point.name, _explain(_broken(point, error)), _ANYTHING)


def _as_command(
    name: str,
    target: typer.Typer | Callable[..., Any],
    context_settings: dict[str, Any] | None = None,
) -> Any:
    app = typer.Typer(add_completion=False)  # completion is the root's alone
    if isinstance(target, typer.Typer):
        app.add_typer(target, name=name)
        group = get_command(app)
        assert isinstance(group, TyperGroup)
        return group.commands[name]
    app.command(name, context_settings=context_settings)(target)
    return get_command(app)


def _missing(point: EntryPoint, name: str) -> DizuoError:
    extra = next(iter(point.extras), "hub")
    return PackagesMissing(
        f"dizuo {point.name} needs packages that are not installed here ({name}).",
        next_step=f"Install them with: pip install 'dizuo[{extra}]'",
    )


def _broken(point: EntryPoint, error: Exception) -> DizuoError:
    return PackageBroken(
        f"dizuo {point.name} cannot be loaded: {error}.",
        next_step="Install the package that brings it again.",
    )


def _explain(error: DizuoError) -> Callable[..., None]:
    def explain(_context: typer.Context) -> None:
        raise error

    explain.__doc__ = f"Not installed here. {escape(str(error))}"
    return explain
