"""Commands that start a run and stay with it to its end."""

from __future__ import annotations

from typing import Any

from dizuo.cli.output import note
from dizuo.cli.progress import Bars
from dizuo.client.hub import HubClient
from dizuo.core.errors import DizuoError


class RunFailed(DizuoError):
    """A run ended without success; in the words of its own error."""

    code = "run_failed"


def follow(hub: HubClient, run: dict[str, Any]) -> dict[str, Any]:
    """Show a run's bars until it ends, and return the succeeded run.

    Raises:
        RunFailed: it failed or was cancelled.
    """
    if run["state"] == "queued" or run["state"] == "running":
        note(f"run {run['id']}; it goes on if this command is stopped")
        with Bars() as bars:
            run = hub.follow_run(run["id"], bars.report)
    return require_success(run)


def require_success(run: dict[str, Any]) -> dict[str, Any]:
    """The run, if it succeeded.

    Raises:
        RunFailed: it did not.
    """
    if run["state"] == "succeeded":
        return run
    error = run.get("error") or {}
    if run["state"] == "cancelled":
        raise RunFailed(f"The {run['kind']} run was cancelled.")
    raise RunFailed(
        str(error.get("message") or f"The {run['kind']} run ended as {run['state']}."),
        next_step=str(error.get("next_step") or f"Read its log: dizuo runs log {run['id']}"),
    )
