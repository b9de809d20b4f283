"""`dizuo tune` and `dizuo gate`: from a recipe to a stack with its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dizuo.cli.following import follow
from dizuo.cli.options import DetachFlag, JsonFlag, StackArgument
from dizuo.cli.output import print_json, print_table, say
from dizuo.cli.references import stack_name
from dizuo.cli.session import open_hub
from dizuo.client.hub import HubClient
from dizuo.core.errors import InvalidInput

_MAX_RECIPE_BYTES = 262_144
_MARKS = {"pass": "✓ met", "fail": "✗ not met", "cannot_tell": "? cannot tell"}


class RecipeUnreadable(InvalidInput):
    """The file of a recipe cannot be read."""

    code = "recipe_unreadable"


def read_recipe(path: Path) -> str:
    """The text of a recipe.

    Raises:
        RecipeUnreadable: it is not a readable text file of at most 256 kB.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_RECIPE_BYTES + 1)
        if len(data) > _MAX_RECIPE_BYTES:
            raise RecipeUnreadable(f"{path} is too large for a recipe.")
        return data.decode()
    except OSError as error:
        raise RecipeUnreadable(
            f"The recipe {path} cannot be read: {error.strerror}.", next_step="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeUnreadable(f"{path} is not a text file in UTF-8.") from error


def tune(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The path of a recipe.")],
    *,
    no_gate: Annotated[
        bool, typer.Option("--no-gate", help="Make the stack, but do not run its gates.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run even if nothing it depends on has changed.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the recipe would be accepted.")
    ] = False,
    detach: DetachFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a stack from a recipe, run its gates and show the report.

    Leaves with status 1 if a gate was not met. With --detach the gates are left to you.

    Example: dizuo tune recipes/meter-reading.yaml
    """
    text = read_recipe(recipe)
    with open_hub(context) as hub:
        if check:
            _tell_checked(hub.check_recipe(text, recipe.name), recipe, as_json)
            return
        run = hub.submit_run({"kind": "tune", "recipe": text, "no_cache": no_cache})
        if detach:
            _tell_detached(run, as_json)
            return
        run = follow(hub, run)
        stack = str(run["outcome"]["stack"])
        if not as_json:
            word = "was made before from the same inputs" if run["cached"] else "is made"
            say(f"{stack} {word}.", style="green")
        report = None if no_gate else _gate(hub, stack)
    _finish(run, report, as_json)


def gate(
    context: typer.Context,
    stack: StackArgument,
    detach: DetachFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure a stack against the gates of its recipe and show the report.

    Leaves with status 1 if a gate was not met.

    Example: dizuo gate meter-reading:3
    """
    with open_hub(context) as hub:
        if detach:
            _tell_detached(hub.submit_run({"kind": "gate", "stack": stack}), as_json)
            return
        report = _gate(hub, stack)
    _finish(None, report, as_json)


def _gate(hub: HubClient, stack: str) -> dict[str, Any]:
    run = follow(hub, hub.submit_run({"kind": "gate", "stack": stack}))
    measured = stack_name(hub, run["outcome"]["digest"])
    return hub.report(measured.name, measured.version)


def _finish(run: dict[str, Any] | None, report: dict[str, Any] | None, as_json: bool) -> None:
    if as_json:
        print_json(report if run is None else {"run": run, "report": report})
    elif report is not None:
        print_report(report)
    if report is not None and not report["passed"]:
        raise typer.Exit(1)


def _tell_detached(run: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(run)
    else:
        say(f"Started run {run['id']}. Look at it with: dizuo runs show {run['id']}")


def _tell_checked(answer: dict[str, Any], recipe: Path, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(f"{recipe} would be accepted.", style="green")


def print_report(report: dict[str, Any]) -> None:
    """A gate report for people: one line for each rule, then the verdict."""
    print_table(
        ("", "gate", "target", ">measured", "interval", "found"),
        (
            (
                _MARKS.get(rule["verdict"], rule["verdict"]),
                rule["sentence"],
                rule["target"],
                _figure(rule["measured"]),
                _interval(rule),
                rule["reason"],
            )
            for rule in report["rules"]
        ),
        empty="There are no gates, so nothing has passed.",
    )
    if report["passed"]:
        say(f"{report['stack']} passed.", style="bold green")
    else:
        say(f"{report['stack']} has not passed.", style="bold red")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _interval(rule: dict[str, Any]) -> str:
    low, high = rule.get("low"), rule.get("high")
    return "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
