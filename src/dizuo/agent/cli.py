"""`dizuo agent`: join a hub, run, and see how it is. Errors are told by `dizuo.cli.main`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dizuo.agent.home import AgentHome, read_json
from dizuo.agent.join import JoinRequest, join
from dizuo.agent.runner import run
from dizuo.agent.settings import AgentSettings
from dizuo.cli.options import JsonFlag, setting
from dizuo.cli.output import age, print_fields, print_json, say
from dizuo.core.errors import InvalidInput

app = typer.Typer(
    help="The program on a site.\n\nExample: dizuo agent status", no_args_is_help=True
)

_LONGEST_TOKEN = 10_000
_Home = Annotated[Path | None, setting(AgentSettings, "home")]


@app.command("join")
def join_command(
    token: Annotated[
        str, typer.Argument(help="The line that dizuo site token printed; - reads it from stdin.")
    ],
    name: Annotated[str, typer.Option(help="The name the site shall have.")],
    home: _Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Make this machine a site of a hub.

    A token on the command line stands in the shell's history and in the list of processes; with -
    it stands in neither.

    Example: dizuo agent join dizuo-join-eyJyb290X3No… --name site3

    Example: dizuo agent join - --name site3 < token.txt
    """
    settings = AgentSettings.load(home=home)
    request = JoinRequest(_token(token), name, settings.hub_ca, settings.http_timeout_seconds)
    enrolment = join(AgentHome(settings.home), request)
    if as_json:
        print_json(
            {
                "site": enrolment.site_name,
                "project": enrolment.project,
                "hub": enrolment.hub_url,
                "home": str(settings.home),
            }
        )
    else:
        say(f"Joined {enrolment.hub_url} as {enrolment.site_name}.")
        say(f"Start it with: dizuo agent run --home {settings.home}")


def _token(argument: str) -> str:
    if argument != "-":
        return argument
    line = sys.stdin.readline(_LONGEST_TOKEN).strip()
    if not line:
        raise InvalidInput(
            "There is no join token on stdin.",
            next_step="Pipe in the line that dizuo site token printed at the hub.",
        )
    return line


@app.command("run")
def run_command(
    home: _Home = None,
    host: Annotated[str | None, setting(AgentSettings, "host")] = None,
    port: Annotated[int | None, setting(AgentSettings, "port")] = None,
    egress_policy: Annotated[str | None, setting(AgentSettings, "egress_policy")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Serve this site's models and follow its hub, until stopped.

    Example: dizuo agent run --port 8421 --egress-policy raw
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each check-in helps nobody
    settings = AgentSettings.load(home=home, host=host, port=port, egress_policy=egress_policy)

    def announce(url: str) -> None:
        # One line at once, and flushed: whoever started the agent waits for it.
        typer.echo(json.dumps({"url": url}) if as_json else f"Answering at {url}")

    run(settings, announce)


@app.command("status")
def status_command(home: _Home = None, as_json: JsonFlag = False) -> None:
    """Show what the agent of this folder does, or last did.

    Example: dizuo agent status --json
    """
    folder = AgentHome(AgentSettings.load(home=home).home)
    enrolment = folder.read_enrolment()
    status: dict[str, Any] = {
        "site": enrolment.site_name,
        "hub": enrolment.hub_url,
        "agent_runs": folder.is_in_use(),
        **(read_json(folder.status_file) or {}),
    }
    if as_json:
        print_json(status)
    else:
        print_fields(_fields(status))


def _fields(status: dict[str, Any]) -> list[tuple[str, object]]:
    running = status.get("running") or {}
    error = status.get("error")
    serves = [
        f"{stack['served_as']} = {stack['name']}:{stack['version']} ({stack['digest']})"
        for stack in running.get("stacks", ())
    ]
    return [
        ("site", status["site"]),
        ("hub", status["hub"]),
        ("agent", "runs" if status["agent_runs"] else "does not run"),
        ("state", status.get("step", "never started")),
        ("note", status.get("note")),
        ("generation", running.get("generation")),
        ("serves", "\n".join(serves)),
        ("address", status.get("inference_url")),
        ("answers", status.get("answers")),
        ("samples waiting", status.get("samples_waiting")),
        ("samples dropped", status.get("samples_dropped")),
        ("last contact", age(status.get("hub_contact_ms"))),
        ("hub error", status.get("hub_error")),
        ("last error", f"{error['step']}: {error['message']}" if error else ""),
    ]
