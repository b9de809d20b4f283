"""`dizuo site`: the places that run stacks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import age, moment, note, print_fields, print_json, print_table, say, size
from dizuo.cli.session import open_hub

app = typer.Typer(no_args_is_help=True)

SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="The name of a site.")]


@app.callback()
def group() -> None:
    """Sites: list, show, let join, let go.

    Example: dizuo site ls
    """


@app.command("ls")
def list_sites(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List every site and what it runs.

    Example: dizuo site ls
    """
    with open_hub(context) as hub:
        sites = hub.sites()
    if as_json:
        print_json(sites)
        return
    print_table(
        ("site", "state", "runs", ">answers", ">samples waiting", "seen"),
        (
            (
                one["name"],
                one["state"],
                ", ".join(_direction(stack) for stack in one["stacks"]),
                one["answers"],
                one["samples_waiting"],
                age(one["last_seen_ms"]),
            )
            for one in sites
        ),
        empty="No site has joined yet. Make a token for one: dizuo site token",
    )


def _direction(stack: dict[str, Any]) -> str:
    text = f"{stack['name']}:{stack['version']}"
    return text if stack["served_as"] == stack["name"] else f"{text} as {stack['served_as']}"


@app.command("show")
def show(context: typer.Context, site: SiteArgument, as_json: JsonFlag = False) -> None:
    """Show one site: what it runs, what it shall run, what went wrong.

    Example: dizuo site show site3
    """
    with open_hub(context) as hub:
        found = hub.site(site)
    if as_json:
        print_json(found)
        return
    print_fields(_fields(found))


def _fields(found: dict[str, Any]) -> list[tuple[str, object]]:
    error, desired = found["error"] or {}, found["desired"]
    return [
        ("site", found["name"]),
        ("state", found["state"]),
        ("runs", "\n".join(f"{_direction(one)} {one['digest']}" for one in found["stacks"])),
        ("generation", found["generation"]),
        ("shall run", ", ".join(_direction(stack) for stack in desired["stacks"])),
        ("in generation", desired["generation"]),
        ("went wrong", f"{error['message']} (in {error['step']})" if error else ""),
        ("answers at", found["inference_url"]),
        ("lets out", found["egress_policy"]),
        ("answers", found["answers"]),
        ("samples waiting", found["samples_waiting"]),
        ("first install", size(found["bytes_first_install"])),
        ("last update", size(found["bytes_last_update"])),
        ("joined", moment(found["joined_ms"])),
        ("seen", age(found["last_seen_ms"])),
    ]


@app.command("token")
def token(
    context: typer.Context,
    hub_url: Annotated[
        str, typer.Option("--hub-url", help="How the site reaches the hub, if not as we do.")
    ] = "",
    ttl_seconds: Annotated[
        int | None, typer.Option(help="How long it can be used.", min=60)
    ] = None,
    name: Annotated[
        str, typer.Option(help="The name the site shall have; it goes into the command shown.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Make a one-time token with which a new site joins. It is shown this once.

    Example: dizuo site token --name site9 --ttl-seconds 3600
    """
    body: dict[str, Any] = {"url": hub_url, "name": name or None}
    if ttl_seconds is not None:
        body["ttl_seconds"] = ttl_seconds
    with open_hub(context) as hub:
        made = hub.make_join_token(body)
    if as_json:
        print_json(made)
        return
    say(made["token"])
    note(f"Good until {moment(made['expires_ms'])}. On the new site:")
    note(f"dizuo agent join TOKEN --name {name or 'NAME'}")


@app.command("rm")
def remove(context: typer.Context, site: SiteArgument, as_json: JsonFlag = False) -> None:
    """Let a site go: its credentials are worthless from now on.

    Example: dizuo site rm site3
    """
    with open_hub(context) as hub:
        gone = hub.remove_site(site)
    if as_json:
        print_json(gone)
    else:
        say(f"{site} is no longer a site of this hub.")
