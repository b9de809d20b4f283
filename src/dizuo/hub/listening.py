"""Where the hub listens: never beyond loopback without TLS, and never half."""

from __future__ import annotations

import ipaddress
import socket
import ssl

from dizuo.hub.errors import CertificateRefused, PortTaken, UnsafeAddress
from dizuo.hub.settings import HubSettings

_BACKLOG = 2048


def listen(settings: HubSettings) -> socket.socket:
    """A socket that listens at the hub's address; the caller closes it.

    Raises:
        UnsafeAddress: not loopback, and no certificate is set.
        CertificateRefused: only half of TLS is set, or it cannot be used.
        PortTaken: something listens there already, or the address is not this machine's.
    """
    _check_certificate(settings)
    if not settings.has_tls and not _is_loopback(settings.host):
        raise UnsafeAddress(
            f"Without TLS the hub listens on loopback only, not on {settings.host}.",
            next_step="Set --tls-certificate and --tls-key, or use --host 127.0.0.1.",
        )
    try:
        return _bound(settings.host, settings.port)
    except OSError as error:
        raise PortTaken(
            f"Port {settings.port} on {settings.host} cannot be used: {error.strerror}.",
            next_step="Stop the program that uses it, or choose another with --port.",
        ) from error


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_certificate(settings: HubSettings) -> None:
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing = "certificate" if certificate is None else "key"
        raise CertificateRefused(
            f"TLS needs a certificate and its key; the {missing} is not set.",
            next_step=f"Set --tls-{missing} too.",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CertificateRefused(
            f"The certificate {certificate} with the key {key} cannot be used: "
            f"{error.strerror or error}.",
            next_step="Give PEM files that belong together and that this user may read.",
        ) from error
