"""The nouns of sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dizuo.edge.wire import DesiredState, Direction, SiteError


@dataclass(frozen=True, slots=True)
class Site:
    """A site as the hub knows it.

    `desired` is the set it shall run; `told_generation` the newest that a check-in was answered
    with; `running` what it said really answers there. The other fields are its own last words.
    """

    id: str
    project_id: str
    name: str
    state: str
    desired: DesiredState
    told_generation: int
    running: DesiredState
    error: SiteError | None
    egress_policy: str
    inference_url: str
    agent_version: str
    bytes_first_install: int
    bytes_last_update: int
    samples_waiting: int
    answers: int
    joined_ms: int
    last_seen_ms: int

    @property
    def subject(self) -> str:
        """How the audit log names it."""
        return f"site:{self.name}"

    def desires(self, served_as: str) -> Direction | None:
        """What it shall serve under this name."""
        return _find(self.desired, served_as)

    def runs(self, served_as: str) -> Direction | None:
        """What it serves under this name."""
        return _find(self.running, served_as)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as the API answers it."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "generation": self.running.generation,
            "stacks": [one.model_dump() for one in self.running.stacks],
            "desired": self.desired.model_dump(),
            "error": self.error.model_dump() if self.error else None,
            "egress_policy": self.egress_policy,
            "inference_url": self.inference_url,
            "agent_version": self.agent_version,
            "bytes_first_install": self.bytes_first_install,
            "bytes_last_update": self.bytes_last_update,
            "samples_waiting": self.samples_waiting,
            "answers": self.answers,
            "joined_ms": self.joined_ms,
            "last_seen_ms": self.last_seen_ms,
        }


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """The sites of a project in figures: how many are in each state, how many were heard of lately,
    and how many rows all of them have answered since they joined."""

    by_state: Mapping[str, int]
    num_online: int
    num_answers: int

    @property
    def num_sites(self) -> int:
        """All of them."""
        return sum(self.by_state.values())


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A join token, shown once, until when it can be used, and the name its site shall have.

    The token is good for any name; an empty `site_name` leaves it to whoever types the command.
    """

    text: str
    expires_ms: int
    site_name: str = ""

    @property
    def command(self) -> str:
        """What to type on the new site; `NAME`, if it is still there, is to be replaced."""
        return f"dizuo agent join {self.text} --name {self.site_name or 'NAME'}"


def _find(state: DesiredState, served_as: str) -> Direction | None:
    return next((one for one in state.stacks if one.served_as == served_as), None)
