"""The hub's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from dizuo.core.settings import Settings
from dizuo.datasets.desk import DEFAULT_SECOND_SHARE

_DRIVERS = ("postgresql+psycopg", "postgresql", "postgres")


def _postgresql(url: str) -> str:
    """A PostgreSQL URL in SQLAlchemy's form; empty stays empty."""
    if not url:
        return ""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in _DRIVERS:
        raise ValueError("it is not the URL of a PostgreSQL database")
    return parsed.set(drivername=_DRIVERS[0]).render_as_string(hide_password=False)


class HubSettings(Settings):
    """What an operator can set; everything else follows from it."""

    host: str = Field(
        default="127.0.0.1",
        description="The address to listen on; anything but loopback needs TLS.",
    )
    port: int = Field(default=8420, ge=1, le=65535, description="The port to listen on.")
    public_url: str = Field(
        default="", description="How sites reach the hub, if not by host and port."
    )
    database_url: Annotated[str, AfterValidator(_postgresql)] = Field(
        default="",
        repr=False,
        description="PostgreSQL's URL; empty means SQLite in the home folder.",
    )
    tls_certificate: Path | None = Field(
        default=None, description="A PEM file with the certificate chain."
    )
    tls_key: Path | None = Field(default=None, description="The PEM file with its private key.")
    require_approval: bool = Field(
        default=False,
        description="Whether a person must approve each improvement's release, where its project "
        "has not said.",
    )
    max_parallel_runs: int = Field(
        default=1, ge=1, le=64, description="How many runs may train at the same time."
    )
    poll_seconds: float = Field(
        default=30.0, ge=0.2, le=3600, description="How often sites shall check in."
    )
    review_second_share: float = Field(
        default=DEFAULT_SECOND_SHARE,
        ge=0,
        le=1,
        description="The share of returned samples whose verdict a second reviewer checks, blind.",
    )

    @property
    def has_tls(self) -> bool:
        """Whether both halves of TLS are set."""
        return self.tls_certificate is not None and self.tls_key is not None

    @property
    def url(self) -> str:
        """Where the hub is reached."""
        scheme = "https" if self.has_tls else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"{scheme}://{host}:{self.port}"
