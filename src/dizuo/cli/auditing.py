"""`dizuo trace` and `dizuo audit`: where a stack comes from, and who changed what."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dizuo.cli.options import JsonFlag, StackArgument
from dizuo.cli.output import moment, print_error, print_json, print_table, say
from dizuo.cli.references import stack_name
from dizuo.cli.session import open_hub
from dizuo.core.digests import short
from dizuo.core.errors import IntegrityError

app = typer.Typer(no_args_is_help=True)

_OWN_COLUMNS = ("kind", "id", "digest", "of")


def trace(
    context: typer.Context,
    stack: StackArgument,
    as_json: JsonFlag = False,
) -> None:
    """Show where a stack comes from: from the sites that run it to the samples it learned from.

    Example: dizuo trace meter-reading-site3:1
    """
    with open_hub(context) as hub:
        wanted = stack_name(hub, stack)
        steps = hub.trace(wanted.name, wanted.version)
    if as_json:
        print_json(steps)
        return
    print_table(
        ("step", "which", "digest", "details"),
        ((one["kind"], one["id"], short(one["digest"]), _details(one)) for one in steps),
        empty="Nothing is known of it.",
    )


def _details(step: dict[str, Any]) -> str:
    told = {name: value for name, value in step.items() if name not in _OWN_COLUMNS and value}
    return ", ".join(f"{name} {_text(value)}" for name, value in told.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.callback()
def group() -> None:
    """The log of every state change, hash-chained.

    Example: dizuo audit verify
    """


@app.command("verify")
def verify(
    context: typer.Context,
    head: Annotated[
        str, typer.Option(help="The head of an earlier check; it must still be in the log.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Prove the log whole. Leaves with status 1 if it is not.

    Note the head it prints: with --head, a later check also shows if the end was cut off.

    Example: dizuo audit verify
    """
    with open_hub(context) as hub:
        verdict = hub.audit_verify(head)
    if as_json:
        print_json(verdict)
    elif verdict["ok"]:
        say(f"The log is whole: {verdict['num_entries']} entries.", style="green")
        say(f"head {verdict['head']}")
    else:
        print_error(_broken(verdict))
    if not verdict["ok"]:
        raise typer.Exit(1)


def _broken(verdict: dict[str, Any]) -> IntegrityError:
    return IntegrityError(
        f"The log is broken at entry {verdict['broken_at']}: {verdict['reason']}.",
        next_step=f"The {verdict['num_entries']} entries before it hold; keep a copy of all.",
    )


@app.command("log")
def log(
    context: typer.Context,
    after: Annotated[
        int | None, typer.Option(help="Those after this number; without it the newest.", min=0)
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List entries of the log in order.

    Example: dizuo audit log --limit 20
    """
    with open_hub(context) as hub:
        entries = hub.audit(after=after, limit=limit)
    if as_json:
        print_json(entries)
        return
    print_table(
        (">entry", "when", "who", "did", "to"),
        (
            (
                one["sequence"],
                moment(one["at_ms"]),
                one["actor"],
                one["action"],
                one["subject"],
            )
            for one in entries
        ),
        empty="There are no such entries.",
    )
