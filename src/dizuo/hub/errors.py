"""What can keep a hub from starting."""

from __future__ import annotations

from dizuo.core.errors import Conflict, InvalidInput, Unavailable


class UnsafeAddress(InvalidInput):
    """Listening beyond loopback without TLS."""

    code = "unsafe_address"


class CertificateRefused(InvalidInput):
    """TLS is set by half, or with files that cannot be used."""

    code = "certificate_refused"


class PortTaken(Unavailable):
    """Another program listens there, or the address is not this machine's."""

    code = "port_taken"


class HubRunning(Conflict):
    """Another hub process works in this home or on this database."""

    code = "hub_running"
