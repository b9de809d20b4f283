"""What the site does now, for people, for the hub, and for the tests that watch it.

Every transition goes through the shared site machine and is on disk, in `status.json`, before the
step that it announces begins. The writing happens in threads, so that a slow disk holds up the step
and not the requests that are served meanwhile.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from dizuo import __version__
from dizuo.agent.home import Active, AgentHome
from dizuo.agent.threads import in_thread
from dizuo.core.clock import Clock
from dizuo.core.errors import DizuoError
from dizuo.core.files import write_json
from dizuo.edge.site_machine import SITE_UPDATE, wire_state
from dizuo.edge.wire import CheckIn, DesiredState, SiteError

_log = logging.getLogger(__name__)
_MAX_MESSAGE = 2000


class SiteState:
    """The one record of where the site is. Used on the event loop only.

    `apply`, `commit` and `save` change what this says at once, and return when it is on disk.

    Args:
        home: where `active.json` and `status.json` lie.
        clock: the time.
        egress_policy: what check-ins say about it.
    """

    def __init__(self, home: AgentHome, clock: Clock, egress_policy: str) -> None:
        self._home = home
        self._clock = clock
        self._egress_policy = egress_policy
        self._status = _StatusFile(home)
        self.state = SITE_UPDATE.initial
        self.active: Active = home.read_active()
        self.running = DesiredState(generation=0)
        self.desired: DesiredState | None = None
        self.error: SiteError | None = None
        self.watching = False
        """Whether what serves is still on trial; the hub is told that the update goes on."""
        self.note = ""
        """One sentence for people where the state alone does not say enough."""
        self.inference_url = ""
        self.hub_contact_ms: int | None = None
        self.hub_error = ""
        """Why the last call to the hub failed, or empty."""
        self.num_answers = 0
        """Requests of applications answered since the agent started."""
        self.count_samples: Callable[[], int] = lambda: 0
        """Counts answered requests that wait for the sampler, and samples that wait to be sent."""
        self.count_dropped: Callable[[], int] = lambda: 0
        """Counts rows that the sampler chose and lost since the agent started."""

    async def apply(self, rule: str, *, note: str = "") -> None:
        """Take a transition of the site machine and write it down.

        Raises:
            TransitionRefused: the machine has no such rule from here.
        """
        self.state = SITE_UPDATE.apply(self.state, rule)
        self.note = note
        _log.info("site is %s%s", self.state, f": {note}" if note else "")
        await self.save()

    async def commit(self, active: Active) -> None:
        """Move the pointer to the generation that a restart comes back with.

        Raises:
            OSError: it cannot be written, and has not moved.
        """
        await in_thread(lambda: self._home.write_active(active), name="commit")
        self.active = active

    def fail(self, generation: int, step: str, error: DizuoError) -> None:
        """Remember why an attempt failed, for the next check-in."""
        self.error = SiteError(
            generation=generation,
            step=step,
            code=error.code,
            message=str(error)[:_MAX_MESSAGE],
            at_ms=self._clock(),
        )
        _log.warning("generation %d failed while %s: %s", generation, step, error)

    def check_in(self) -> CheckIn:
        """What the hub is told."""
        return CheckIn(
            state="updating" if self.watching else wire_state(self.state),
            running=self.running,
            error=self.error,
            bytes_first_install=self.active.bytes_first_install,
            bytes_last_update=self.active.bytes_last_update,
            egress_policy=self._egress_policy,
            samples_waiting=self.count_samples(),
            answers=self.num_answers,
            inference_url=self.inference_url,
            agent_version=__version__,
        )

    def as_dict(self) -> dict[str, Any]:
        """What `/status` and `dizuo agent status` show."""
        return {
            **self.check_in().model_dump(mode="json"),
            "step": self.state,
            "note": self.note,
            "pid": os.getpid(),
            "samples_dropped": self.count_dropped(),
            "desired_generation": self.desired.generation if self.desired else None,
            "hub_contact_ms": self.hub_contact_ms,
            "hub_error": self.hub_error,
            "updated_ms": self._clock(),
        }

    async def save(self) -> None:
        """Write `status.json`. A full disk must not keep the site from falling back, so a failure
        to write is only logged."""
        number, value = self._status.next_number(), {"format": 1, **self.as_dict()}
        await in_thread(lambda: self._status.write(number, value), name="status")


class _StatusFile:
    """Writes what it is given in the order of its numbers: what is older than what was written, of
    a caller that was cancelled say, is dropped."""

    def __init__(self, home: AgentHome) -> None:
        self._home = home
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._written = 0

    def next_number(self) -> int:
        return next(self._numbers)

    def write(self, number: int, value: dict[str, Any]) -> None:
        with self._lock:
            if number < self._written:
                return
            try:
                write_json(self._home.status_file, value)
            except OSError as error:
                _log.warning("status.json cannot be written: %s", error)
            self._written = number
