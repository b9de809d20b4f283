"""Where credentials may be sent: over TLS, or to this very machine."""

from __future__ import annotations

import ipaddress

import httpx2

from dizuo.core.errors import InvalidInput


class InsecureAddress(InvalidInput):
    """Credentials would travel in the clear to another machine."""

    code = "insecure_address"


def is_loopback(host: str) -> bool:
    """Whether a host, as a URL names it, is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_private(url: str) -> None:
    """Refuse an address to which nobody should send a credential.

    What is no address at all passes: nothing can be sent there, and whoever tries says so. It is
    read with the parser of the HTTP client, so that both mean the same host.

    Raises:
        InsecureAddress: plain HTTP, and not to loopback.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return
    if parsed.scheme == "http" and parsed.host and not is_loopback(parsed.host):
        raise InsecureAddress(
            f"Credentials would travel unencrypted to {url[:200]}.",
            next_step="Use https://; plain http:// is for 127.0.0.1, ::1 and localhost only.",
        )
