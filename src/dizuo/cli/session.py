"""The hub that a command talks to."""

from __future__ import annotations

import typer

from dizuo.client.credentials import ClientSettings, find_credentials
from dizuo.client.hub import HubClient


def open_hub(context: typer.Context) -> HubClient:
    """A client of the hub that the flags before the command, the environment or the home name.

    Raises:
        NoCredentials: it is not known where the hub is, or how to sign in.
    """
    settings = context.find_object(ClientSettings) or ClientSettings.load()
    credentials = find_credentials(settings)
    return HubClient(credentials.url, credentials.token)
