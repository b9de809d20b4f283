"""`dizuo account`: the accounts with which people sign in at the console."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import age, print_json, print_table, say
from dizuo.cli.session import open_hub
from dizuo.client.hub import Json
from dizuo.core.errors import InvalidInput

_MAX_LINE_BYTES = 8192

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The name somebody signs in with.")]
RoleOption = Annotated[
    str, typer.Option(help="reader, builder, releaser or admin, each with those before.")
]
StdinFlag = Annotated[
    bool,
    typer.Option(
        "--password-stdin", help="Read the password from standard input, one line, and do not ask."
    ),
]


class PasswordMissing(InvalidInput):
    """No password was given, or it cannot be read."""

    code = "password_missing"


@app.callback()
def group() -> None:
    """Accounts of people, who sign in at the console: make, change, disable.

    Example: dizuo account ls
    """


@app.command("ls")
def list_accounts(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List every account.

    Example: dizuo account ls
    """
    with open_hub(context) as hub:
        accounts = hub.accounts()
    if as_json:
        print_json(accounts)
        return
    print_table(
        ("name", "role", "made", "disabled"),
        (
            (one["name"], one["role"], age(one["created_ms"]), age(one["disabled_ms"]))
            for one in accounts
        ),
        empty="There are no accounts.",
    )


@app.command("create")
def create(
    context: typer.Context,
    name: NameArgument,
    role: RoleOption = "reader",
    password_stdin: StdinFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make an account. Its password is asked for twice, and not shown.

    Example: dizuo account create ann --role builder
    """
    with open_hub(context) as hub:
        made = hub.create_account(name, role, _password(from_stdin=password_stdin))
    _tell(made, f"{name} can sign in.", as_json=as_json)


@app.command("password")
def set_password(
    context: typer.Context,
    name: NameArgument,
    password_stdin: StdinFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Give an account another password; wherever it is signed in, it is signed out.

    Example: dizuo account password ann
    """
    with open_hub(context) as hub:
        changed = hub.set_account_password(name, _password(from_stdin=password_stdin))
    _tell(changed, f"{name} has another password.", as_json=as_json)


@app.command("role")
def set_role(
    context: typer.Context,
    name: NameArgument,
    role: Annotated[
        str, typer.Argument(help="reader, builder, releaser or admin, each with those before.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Give an account another role, at once.

    Example: dizuo account role ann releaser
    """
    with open_hub(context) as hub:
        changed = hub.set_account_role(name, role)
    _tell(changed, f"{name} has the role {role}.", as_json=as_json)


@app.command("disable")
def disable(context: typer.Context, name: NameArgument, as_json: JsonFlag = False) -> None:
    """Let nobody in by an account any more; wherever it is signed in, it is signed out.

    Example: dizuo account disable ann
    """
    with open_hub(context) as hub:
        changed = hub.disable_account(name)
    _tell(changed, f"{name} cannot sign in any more.", as_json=as_json)


@app.command("enable")
def enable(context: typer.Context, name: NameArgument, as_json: JsonFlag = False) -> None:
    """Let an account in again, with the password it had.

    Example: dizuo account enable ann
    """
    with open_hub(context) as hub:
        changed = hub.enable_account(name)
    _tell(changed, f"{name} can sign in again.", as_json=as_json)


def _tell(account: Json, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        say(sentence)


def _password(*, from_stdin: bool) -> str:
    """What somebody types twice, or one line of standard input without its end.

    Raises:
        PasswordMissing: there is nobody to ask, or no line of text.
    """
    if from_stdin:
        return _one_line()
    if not sys.stdin.isatty():
        raise PasswordMissing(
            "There is no terminal to ask for a password at.",
            next_step="Give it on standard input, with --password-stdin.",
        )
    # Questions go to stderr: stdout is for programs.
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed


def _one_line() -> str:
    line = sys.stdin.buffer.readline(_MAX_LINE_BYTES)
    try:
        text = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise PasswordMissing(
            "There is no line of text on standard input.",
            next_step="Write the password there, in UTF-8.",
        )
    return text
