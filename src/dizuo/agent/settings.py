"""The agent's settings."""

from __future__ import annotations

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from dizuo.core.settings import InvalidSetting, Settings
from dizuo.edge.wire import NameText

_SHORTEST_KEY = 16
_KEY = re.compile(r"[!-~]+")


def _usable_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if len(text) < _SHORTEST_KEY or not _KEY.fullmatch(text):
        raise ValueError(
            f"a key has at least {_SHORTEST_KEY} letters, digits and signs, and no spaces"
        )
    return key


class AgentSettings(Settings):
    """What the people of a site can set; everything else follows from it.

    Its variables have a prefix of their own: on a machine that runs a hub as well, neither program
    hears what is meant for the other.
    """

    model_config = SettingsConfigDict(env_prefix="DIZUO_AGENT_", extra="ignore", frozen=True)

    home: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default_factory=lambda: Path.home() / ".dizuo" / "agent",
        description="The folder in which the agent keeps everything.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="The address of the local API; anything but loopback needs TLS and a key.",
    )
    port: int = Field(
        default=8421, ge=0, le=65535, description="The port of the local API; 0 takes a free one."
    )
    tls_certificate: Path | None = Field(
        default=None, description="A PEM file with the certificate chain of the local API."
    )
    tls_key: Path | None = Field(default=None, description="The PEM file with its private key.")
    api_key: Annotated[SecretStr, AfterValidator(_usable_key)] | None = Field(
        default=None,
        description="The key that callers of the local API send as a bearer token.",
    )
    hub_ca: Path | None = Field(
        default=None, description="A PEM file with the authority that signed the hub's certificate."
    )
    poll_seconds: float = Field(
        default=30.0,
        ge=0.2,
        le=3600,
        description="How often to check in while the hub has not said how often.",
    )
    retry_seconds: float = Field(
        default=5.0,
        ge=0.1,
        le=3600,
        description="How long to wait after a first failure; doubles with each further one.",
    )
    retry_seconds_at_most: float = Field(
        default=900.0, ge=0.1, le=86_400, description="The longest wait between two attempts."
    )
    http_timeout_seconds: float = Field(
        default=20.0, ge=0.1, le=600, description="How long the hub may stay silent."
    )
    egress_policy: NameText = Field(
        default="none",
        description="What may leave this site: none, raw, or a policy that a package brought.",
    )
    sample_bytes_per_day: int = Field(
        default=20_000_000, ge=0, description="How many bytes of samples may be queued in a day."
    )
    outbox_bytes_at_most: int = Field(
        default=200_000_000, ge=0, description="How many bytes of samples may wait to be sent."
    )
    control_share: float = Field(
        default=0.02, ge=0, le=1, description="The share of all rows returned at random."
    )
    uncertain_at_most: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Rows whose confidence percentile is this low are returned as uncertain.",
    )
    novel_at_least: float = Field(
        default=0.98,
        ge=0,
        le=1,
        description="Rows whose novelty percentile is this high are returned as novel.",
    )
    sampler_scores: tuple[str, ...] = Field(
        default=("uncertainty", "novelty"),
        description="Why rows are returned, beside the random share.",
    )
    sampler_seed: int | None = Field(
        default=None, description="Makes the sampler's random choices repeatable."
    )
    engine_threads: int = Field(
        default=1, ge=1, le=256, description="How many threads one engine computes with."
    )
    engine_timeout_seconds: float = Field(
        default=60.0,
        ge=0.1,
        le=3600,
        description="An engine that takes longer for one answer is replaced.",
    )
    engine_start_seconds: float = Field(
        default=120.0, ge=1, le=3600, description="How long an engine may take to load its stacks."
    )
    requests_in_flight: int = Field(
        default=64, ge=1, le=10_000, description="How many requests one engine takes at a time."
    )
    request_bytes_at_most: int = Field(
        default=16_000_000, ge=1_000, le=1_000_000_000, description="The largest request body."
    )
    drain_seconds: float = Field(
        default=30.0,
        ge=0,
        le=600,
        description="How long requests in flight may take when their engine is to stop.",
    )
    probe_agreement_at_least: float = Field(
        default=0.85,
        ge=0,
        le=1,
        description="The share of golden rows a new stack must answer as expected.",
    )
    probe_p95_ms_at_most: float = Field(
        default=5_000.0, gt=0, description="The slowest 95th percentile of a probe, milliseconds."
    )
    engine_bytes_at_most: int = Field(
        default=0, ge=0, description="The memory one engine may take; 0 sets no limit."
    )
    memory_bytes_at_most: int = Field(
        default=0,
        ge=0,
        description="The memory all engines together may take; 0 asks the machine what is free.",
    )
    memory_reserve_bytes: int = Field(
        default=128_000_000,
        ge=0,
        description="Free memory that two generations side by side must leave to the machine.",
    )
    watch_seconds: float = Field(
        default=10.0,
        ge=0,
        le=3600,
        description="How long a new generation is watched before the old one is let go.",
    )
    watch_answers: int = Field(
        default=100,
        ge=0,
        description="After this many good answers the watch ends early; 0 always waits.",
    )

    @property
    def has_tls(self) -> bool:
        """Whether both halves of TLS are set."""
        return self.tls_certificate is not None and self.tls_key is not None

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach the local API."""
        return is_loopback(self.host)

    def require_safe_address(self) -> None:
        """Refuse to listen beyond loopback without TLS or without a key, and with TLS that cannot
        work.

        Raises:
            InvalidSetting: the host is not loopback and TLS or the key is not set, or the files of
                TLS cannot be used.
        """
        if self.has_tls:
            self._require_certificate()
        elif not self.is_loopback:
            raise InvalidSetting(
                f"The local API would listen on {self.host} without TLS.",
                next_step="Set DIZUO_AGENT_TLS_CERTIFICATE and _KEY, or --host 127.0.0.1.",
            )
        if self.api_key is None and not self.is_loopback:
            raise InvalidSetting(
                f"The local API would listen on {self.host} without an API key.",
                next_step="Set DIZUO_AGENT_API_KEY to a long random text, or --host 127.0.0.1.",
            )

    def _require_certificate(self) -> None:
        assert self.tls_certificate is not None
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.tls_certificate, self.tls_key)
        except OSError as error:  # ssl.SSLError is one
            raise InvalidSetting(
                f"The certificate of the local API cannot be used ({error.strerror or error}).",
                next_step="Set DIZUO_AGENT_TLS_CERTIFICATE and _KEY to two PEM files.",
            ) from error


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
