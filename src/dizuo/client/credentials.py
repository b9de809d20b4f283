"""Where the hub is and who we are: from settings, or from what `dizuo up` left in its home."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, SecretStr

from dizuo.client.errors import NoCredentials
from dizuo.core.settings import Settings

CREDENTIALS_FILE = "credentials.json"
DEFAULT_URL = "http://127.0.0.1:8420"
_MAX_BYTES = 65_536


class ClientSettings(Settings):
    """What a client of a hub can be told."""

    url: str = Field(default="", description="The hub's address; empty: what the home says.")
    token: SecretStr = Field(
        default=SecretStr(""), description="The operator's token; empty: what the home says."
    )


@dataclass(frozen=True, slots=True)
class Credentials:
    """A hub's address and a token for it; the token stays out of every repr."""

    url: str
    token: str = field(repr=False)


def find_credentials(settings: ClientSettings) -> Credentials:
    """The settings' own address and token; what they do not say is read from the home.

    A token from the home is only ever sent to the address it was left with: with another `url`,
    the token must be given too.

    Raises:
        NoCredentials: no token is known for that hub, or the file cannot be used.
    """
    url, token = settings.url.rstrip("/"), settings.token.get_secret_value().strip()
    if token:
        return Credentials(url or _read(settings.home, DEFAULT_URL).url, _sendable(token))
    kept = _read(settings.home, "")
    if url and url != kept.url:
        raise NoCredentials(
            f"No token is known for {url}.",
            next_step="Set DIZUO_TOKEN to one that an admin of that hub made for you.",
        )
    if not kept.token:
        raise NoCredentials(
            f"No hub is known: there is no {settings.home / CREDENTIALS_FILE}.",
            next_step="Start one with dizuo up, or set DIZUO_URL and DIZUO_TOKEN.",
        )
    return kept


def _read(home: Path, url: str) -> Credentials:
    """What the home says, or `url` without a token where it says nothing."""
    path = home / CREDENTIALS_FILE
    try:
        with path.open("rb") as stream:
            kept = json.loads(stream.read(_MAX_BYTES))
        return Credentials(str(kept["url"]).rstrip("/"), _sendable(str(kept["token"])))
    except FileNotFoundError:
        return Credentials(url, "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoCredentials(
            f"The file {path} cannot be used.",
            next_step="Check that it is yours to read, or set DIZUO_URL and DIZUO_TOKEN.",
        ) from error


def _sendable(token: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise NoCredentials(
            "The token holds characters that no token has.",
            next_step="Copy it again, whole and on one line.",
        )
    return token
