"""`dizuo runs`: what runs, what ran, and stopping it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from dizuo.cli.following import follow as follow_to_end
from dizuo.cli.options import JsonFlag
from dizuo.cli.output import age, moment, print_fields, print_json, print_table, say
from dizuo.cli.session import open_hub

app = typer.Typer(no_args_is_help=True)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run.")]


@app.callback()
def group() -> None:
    """Runs: list, show, follow, read the log, cancel.

    Example: dizuo runs ls
    """


@app.command("ls")
def list_runs(
    context: typer.Context,
    kind: Annotated[str, typer.Option(help="Only of this kind: tune, gate or import.")] = "",
    state: Annotated[str, typer.Option(help="Only those in this state, such as running.")] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the newest runs.

    Example: dizuo runs ls --state running
    """
    with open_hub(context) as hub:
        runs = hub.runs({"kind": kind or None, "state": state or None, "limit": limit})
    if as_json:
        print_json(runs)
        return
    print_table(
        ("run", "kind", "state", "made", "started", "by"),
        (
            (
                one["id"],
                one["kind"],
                one["state"],
                (one["outcome"] or {}).get("stack", ""),
                age(one["started_ms"]),
                one["actor"],
            )
            for one in runs
        ),
        empty="There are no such runs.",
    )


@app.command("show")
def show(context: typer.Context, run: RunArgument, as_json: JsonFlag = False) -> None:
    """Show one run: its state, what it made, why it failed.

    Example: dizuo runs show 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f
    """
    with open_hub(context) as hub:
        _print_run(hub.run(run), as_json)


@app.command("follow")
def follow(context: typer.Context, run: RunArgument, as_json: JsonFlag = False) -> None:
    """Watch a run to its end. Leaves with status 1 if it does not succeed.

    Example: dizuo runs follow 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f
    """
    with open_hub(context) as hub:
        _print_run(follow_to_end(hub, hub.run(run)), as_json)


@app.command("log")
def log(context: typer.Context, run: RunArgument, as_json: JsonFlag = False) -> None:
    """Print what a run's processes printed.

    Example: dizuo runs log 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f
    """
    with open_hub(context) as hub:
        text = hub.run_log(run)
    if as_json:
        print_json({"run": run, "log": text})
    else:
        sys.stdout.write(text)


@app.command("cancel")
def cancel(context: typer.Context, run: RunArgument, as_json: JsonFlag = False) -> None:
    """Ask a run to stop.

    Example: dizuo runs cancel 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f
    """
    with open_hub(context) as hub:
        found = hub.cancel_run(run)
    if as_json:
        print_json(found)
    elif found["state"] == "cancelled":
        say("The run is cancelled.")
    else:
        say("The run will stop at its next safe place.")


def _print_run(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    outcome, error = found["outcome"] or {}, found["error"] or {}
    print_fields(
        (
            ("run", found["id"]),
            ("kind", found["kind"]),
            ("state", found["state"]),
            ("made", outcome.get("stack")),
            ("digest", outcome.get("digest")),
            ("failed because", error.get("message")),
            ("next step", error.get("next_step")),
            ("attempts", found["attempts"]),
            ("asked for by", found["actor"]),
            ("asked for", moment(found["created_ms"])),
            ("started", moment(found["started_ms"])),
            ("ended", moment(found["finished_ms"])),
        )
    )
