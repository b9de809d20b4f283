"""What can keep a hub from starting."""

from __future__ import annotations

from dizuo.core.errors import Conflict, InvalidInput, Unavailable


class UnsafeAddress(InvalidInput):
    """Listening beyond loopback without TLS."""

    code = "unsafe_address"


class HomeRefused(InvalidInput):
    """The home folder cannot be used."""

    code = "home_refused"


class PortTaken(Unavailable):
    """Another program listens there."""

    code = "port_taken"


class HubRunning(Conflict):
    """Another hub process works in this home."""

    code = "hub_running"
