"""`dizuo release` and `dizuo rollout`: from a gated stack to the sites."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import age, print_fields, print_json, print_table, say
from dizuo.cli.references import stack_reference
from dizuo.cli.session import open_hub
from dizuo.core.digests import short

rollout_app = typer.Typer(no_args_is_help=True)

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The id of a rollout.")]


def release(
    context: typer.Context,
    stack: Annotated[
        str | None,
        typer.Argument(metavar="[NAME:VERSION]", help="A stack version; without it, list all."),
    ] = None,
    *,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take its release back instead.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Sign a stack whose gates were passed as fit to run, or list what was signed.

    Example: dizuo release meter-reading:3
    """
    if stack is None and withdraw:
        raise typer.BadParameter("say which release to take back", param_hint="NAME:VERSION")
    wanted = None if stack is None else stack_reference(stack)
    with open_hub(context) as hub:
        if wanted is None:
            _print_releases(hub.releases(), as_json)
            return
        found = hub.withdraw_release(wanted) if withdraw else hub.release(wanted)
    if as_json:
        print_json(found)
    else:
        say(f"{found['stack']} ({short(found['digest'])}) is {found['state']}.", style="green")


def _print_releases(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_table(
        ("stack", "digest", "state", "signed", "by"),
        (
            (
                one["stack"],
                short(one["digest"]),
                one["state"],
                age(one["created_ms"]),
                one["actor"],
            )
            for one in found
        ),
        empty="There are no releases yet.",
    )


@rollout_app.callback()
def group() -> None:
    """Direct sites to released stacks.

    Example: dizuo rollout status
    """


@rollout_app.command("start")
def start(
    context: typer.Context,
    stack: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:VERSION]",
            help="A released stack; without version, its newest that is signed.",
        ),
    ],
    *,
    site: Annotated[
        list[str] | None, typer.Option("--site", help="A site; give it several times for several.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Every site.")] = False,
    served_as: Annotated[
        str, typer.Option("--as", help="The name it answers to there, if not its own.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Direct sites to a released stack; they fetch, check and switch by themselves.

    Example: dizuo rollout start meter-reading-site3:1 --site site3 --as meter-reading
    """
    if bool(site) == everywhere:
        raise typer.BadParameter("name sites with --site, or take --all", param_hint="--site")
    with open_hub(context) as hub:
        found = hub.start_rollout(stack_reference(stack), site or "all", served_as)
    if as_json:
        print_json(found)
    else:
        _print_rollout(found)


@rollout_app.command("status")
def status(
    context: typer.Context,
    rollout: Annotated[
        str | None, typer.Argument(metavar="[ROLLOUT]", help="One; without it, list all.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how far a rollout is, or list all of them.

    Example: dizuo rollout status
    """
    with open_hub(context) as hub:
        found: Any = hub.rollout(rollout) if rollout else hub.rollouts()
    if as_json:
        print_json(found)
    elif rollout:
        _print_rollout(found)
    else:
        print_table(
            ("rollout", "stack", "as", "state", "started", "by"),
            (
                (
                    one["id"],
                    one["stack"],
                    one["served_as"],
                    one["state"],
                    age(one["created_ms"]),
                    one["actor"],
                )
                for one in found
            ),
            empty="There are no rollouts yet.",
        )


@rollout_app.command("stop")
def stop(context: typer.Context, rollout: RolloutArgument, as_json: JsonFlag = False) -> None:
    """Direct no further sites; those that have switched stay as they are.

    Example: dizuo rollout stop 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f
    """
    with open_hub(context) as hub:
        found = hub.stop_rollout(rollout)
    if as_json:
        print_json(found)
    else:
        _print_rollout(found)


@rollout_app.command("rollback")
def roll_back(context: typer.Context, rollout: RolloutArgument, as_json: JsonFlag = False) -> None:
    """Direct every site of a rollout back to what it had before.

    Example: dizuo rollout rollback 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f
    """
    with open_hub(context) as hub:
        found = hub.roll_back(rollout)
    if as_json:
        print_json(found)
    else:
        _print_rollout(found)


def _print_rollout(found: dict[str, Any]) -> None:
    print_fields(
        (
            ("rollout", found["id"]),
            ("stack", f"{found['stack']} ({short(found['digest'])})"),
            ("served as", found["served_as"]),
            ("state", found["state"]),
            ("because", found["reason"]),
        )
    )
    print_table(
        ("site", "state", ">generation", "changed", "because"),
        (
            (
                one["site"],
                one["state"],
                one["generation"],
                age(one["updated_ms"]),
                one["reason"],
            )
            for one in found["sites"]
        ),
        empty="It has no sites.",
    )
