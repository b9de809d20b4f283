"""`dizuo agent`: join a hub, run, and see how it is."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dizuo.agent.home import AgentHome, read_json
from dizuo.agent.join import JoinRequest, join
from dizuo.agent.runner import run
from dizuo.agent.settings import AgentSettings
from dizuo.core.clock import iso
from dizuo.core.errors import DizuoError

app = typer.Typer(help="The program on a site.", no_args_is_help=True, rich_markup_mode=None)

_Home = Annotated[Path | None, typer.Option(help="The folder in which the agent keeps everything.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def _fail(error: DizuoError, as_json: bool) -> typer.Exit:
    if as_json:
        typer.echo(json.dumps(error.as_dict()))
    else:
        typer.echo(f"Error: {error}", err=True)
    return typer.Exit(1)


@app.command("join", epilog="Example: dizuo agent join dizuo-join-eyJ… --name site3")
def join_command(
    token: Annotated[str, typer.Argument(help="The line that `dizuo site token` printed.")],
    name: Annotated[str, typer.Option(help="The name the site shall have.")],
    home: _Home = None,
    as_json: _Json = False,
) -> None:
    """Make this machine a site of a hub."""
    try:
        settings = AgentSettings.load(home=home)
        enrolment = join(
            AgentHome(settings.home),
            JoinRequest(token, name, settings.hub_ca, settings.http_timeout_seconds),
        )
    except DizuoError as error:
        raise _fail(error, as_json) from error
    said = {"site": enrolment.site_name, "hub": enrolment.hub_url, "home": str(settings.home)}
    if as_json:
        typer.echo(json.dumps(said))
    else:
        typer.echo(f"Joined {enrolment.hub_url} as {enrolment.site_name}.")
        typer.echo(f"Start it with: dizuo agent run --home {settings.home}")


@app.command("run", epilog="Example: dizuo agent run --port 8421")
def run_command(
    home: _Home = None,
    host: Annotated[str | None, typer.Option(help="The address of the local API.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port; 0 takes a free one.")] = None,
    egress_policy: Annotated[
        str | None, typer.Option(help="What may leave this site: none or raw.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Serve this site's models and follow its hub, until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # one line a check-in helps nobody

    def announce(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if as_json else f"Answering at {url}")

    try:
        settings = AgentSettings.load(home=home, host=host, port=port, egress_policy=egress_policy)
        run(settings, announce)
    except DizuoError as error:
        raise _fail(error, as_json) from error


@app.command("status", epilog="Example: dizuo agent status --json")
def status_command(home: _Home = None, as_json: _Json = False) -> None:
    """Show what the agent of this folder does, or last did."""
    try:
        settings = AgentSettings.load(home=home)
        folder = AgentHome(settings.home)
        enrolment = folder.read_enrolment()
        status = read_json(folder.status_file) or {}
    except DizuoError as error:
        raise _fail(error, as_json) from error
    status = {"site": enrolment.site_name, "hub": enrolment.hub_url, **status}
    status["agent_runs"] = folder.in_use
    if as_json:
        typer.echo(json.dumps(status))
    else:
        Console().print(_table(status))


def _table(status: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    running = status.get("running") or {}
    error = status.get("error") or {}
    contact = status.get("hub_contact_ms")
    rows = {
        "site": status["site"],
        "hub": status["hub"],
        "agent": "runs" if status["agent_runs"] else "does not run",
        "state": status.get("step", "never started"),
        "note": status.get("note") or status.get("hub_error") or "",
        "generation": str(running.get("generation", 0)),
        "last contact": iso(contact) if contact else "never",
        "answers": str(status.get("answers", 0)),
        "samples waiting": str(status.get("samples_waiting", 0)),
        "last error": f"{error['step']}: {error['message']}" if error else "",
        "address": status.get("inference_url", ""),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    for stack in running.get("stacks", ()):
        table.add_row("serves", f"{stack['served_as']} = {stack['name']}:{stack['version']}")
    return table
