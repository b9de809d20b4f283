"""`dizuo token`: operators' tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import age, note, print_json, print_table, say
from dizuo.cli.session import open_hub

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Tokens of operators: make, list, revoke.

    Example: dizuo token ls
    """


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is: a person or a program.")],
    role: Annotated[
        str,
        typer.Option(
            help="reader, builder, releaser or admin, each with those before; or registry, which "
            "opens the registry alone, for skopeo and its like."
        ),
    ] = "reader",
    as_json: JsonFlag = False,
) -> None:
    """Make a token. It is shown this once.

    Example: dizuo token create ann --role builder
    """
    with open_hub(context) as hub:
        made = hub.create_token(name, role)
    if as_json:
        print_json(made)
        return
    say(made["token"])
    use = "as the password of a registry client" if role == "registry" else "for DIZUO_TOKEN"
    note(f"Give it to {name}, {use}. It cannot be shown again.")


@app.command("ls")
def list_tokens(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List every token; secrets are not kept.

    Example: dizuo token ls
    """
    with open_hub(context) as hub:
        tokens = hub.tokens()
    if as_json:
        print_json(tokens)
        return
    print_table(
        ("name", "role", "made", "revoked"),
        (
            (one["name"], one["role"], age(one["created_ms"]), age(one["revoked_ms"]))
            for one in tokens
        ),
        empty="There are no tokens.",
    )


@app.command("revoke")
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose token.")],
    as_json: JsonFlag = False,
) -> None:
    """Make a token worthless from now on.

    Example: dizuo token revoke ann
    """
    with open_hub(context) as hub:
        gone = hub.revoke_token(name)
    if as_json:
        print_json(gone)
    else:
        say(f"The token of {name} is revoked.")
