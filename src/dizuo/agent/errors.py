"""What can go wrong on a site, beyond what the shared rooms already name."""

from __future__ import annotations

from dizuo.core.errors import (
    Conflict,
    DizuoError,
    Forbidden,
    IntegrityError,
    InvalidInput,
    Unavailable,
)


class NotJoined(Conflict):
    """This folder does not belong to a hub yet."""

    code = "not_joined"


class AlreadyJoined(Conflict):
    """This folder already belongs to a hub."""

    code = "already_joined"


class HomeInUse(Conflict):
    """Another agent process works in this folder."""

    code = "agent_running"


class HomeRefused(InvalidInput):
    """The agent's folder cannot be used."""

    code = "agent_home_refused"


class HomeDamaged(IntegrityError):
    """A file in the agent's folder cannot be read as what it should be."""

    code = "agent_home_damaged"


class PortInUse(Unavailable):
    """Another program listens at the address of the local API."""

    code = "port_in_use"


class HubUnreachable(Unavailable):
    """The hub does not answer, or answers that it cannot now."""

    code = "hub_silent"


class HubRefused(Forbidden):
    """The hub answered, and refuses what the agent asked; says why.

    `status` is the HTTP status it answered with, `hub_code` the code of its own error.
    """

    code = "hub_refused"

    def __init__(
        self, message: str, *, next_step: str = "", status: int = 403, hub_code: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.status = status
        self.hub_code = hub_code


class HubAnswerBroken(Unavailable):
    """The hub's answer does not have the agreed form."""

    code = "hub_answer_broken"


class EngineProtocolBroken(IntegrityError):
    """What came from an engine process is not a frame of the protocol."""

    code = "engine_protocol"


class EngineGone(Unavailable):
    """The engine process ended, or is being started again."""

    code = "engine_restarting"


class EngineBusy(Unavailable):
    """The engine already works on as many requests as it may."""

    code = "engine_busy"


class EngineOverdue(Unavailable):
    """The engine did not answer in time."""

    code = "engine_overdue"


class BodyOverdue(InvalidInput):
    """The body of a request to the local API takes too long to arrive."""

    code = "body_overdue"
    http_status = 408


class HostRefused(Forbidden):
    """A request to a local API on loopback names another machine than this one."""

    code = "host_refused"
    http_status = 421


class MediaTypeRefused(InvalidInput):
    """The body of a request to the local API is said to be something else than JSON."""

    code = "media_type_refused"
    http_status = 415


class EngineFailed(DizuoError):
    """The engine met an error that nobody foresaw; its log says more."""

    code = "engine_failed"
    http_status = 500


class GenerationReversed(Conflict):
    """The hub asked for an older generation than the one that serves."""

    code = "generation_reversed"


class GenerationDamaged(IntegrityError):
    """Files of a generation on this site are not what was signed."""

    code = "generation_damaged"


class ProbeFailed(IntegrityError):
    """A stack did not prove itself before it was to serve."""

    code = "probe_failed"


class WatchFailed(IntegrityError):
    """A generation misbehaved in its first moments of service."""

    code = "watch_failed"


class NotServing(Unavailable):
    """No stack is served on this site yet."""

    code = "not_serving"


class UnknownScore(InvalidInput):
    """No installed package offers a sampler score of this name."""

    code = "unknown_sampler_score"


class StorageFailed(Unavailable):
    """The agent's folder cannot be read or written."""

    code = "site_storage"


class UpdateBroken(DizuoError):
    """An update met an error that nobody foresaw."""

    code = "update_broken"
