"""Following a run to its end, across broken connections and restarts of the hub."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from httpx2 import EventSource

from dizuo.client.errors import HubError, HubUnreachable, NotAHub
from dizuo.client.transport import Transport, api_path
from dizuo.core.progress import Progress, Reporter

END_EVENT = "end"
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on trying while no hub answers: `num_tries` times in a row, with pauses."""

    num_tries: int = 40
    pause: Callable[[float], None] = time.sleep

    def wait(self, num_failed: int) -> None:
        """Pause before the next try, longer from time to time."""
        self.pause(min(_FIRST_PAUSE_SECONDS * 2 ** min(num_failed, 10), _LONGEST_PAUSE_SECONDS))


def follow_run(
    transport: Transport, run_id: str, report: Reporter, patience: Patience | None = None
) -> dict[str, Any]:
    """Report every event of a run, each once and in order, and return the run when it has ended.

    A connection that breaks is opened again where it broke off (`Last-Event-ID`).

    Raises:
        HubError: the hub refused, for a reason that waiting does not cure.
        HubUnreachable: no hub answered for too long; the run itself goes on.
        NotAHub: what answered is no hub.
    """
    patience = patience or Patience()
    last_id, num_failed = "", 0
    while True:
        reason: HubUnreachable | HubError = _hung_up(transport.url)
        try:
            for event_id, value in _read(transport, run_id, last_id):
                last_id, num_failed = event_id or last_id, 0
                if isinstance(value, dict):
                    return value
                report(value)
        except HubUnreachable as error:
            reason = error
        except HubError as error:
            if not error.may_retry:
                raise
            reason = error
        if num_failed >= patience.num_tries:
            raise reason
        patience.wait(num_failed)
        num_failed += 1


def _hung_up(url: str) -> HubUnreachable:
    return HubUnreachable(
        f"The hub at {url} stopped telling about the run before it ended.",
        next_step="The run goes on; look at it with: dizuo runs ls",
    )


def _read(
    transport: Transport, run_id: str, last_id: str
) -> Iterator[tuple[str, Progress | dict[str, Any]]]:
    """(event id, progress) as they come, the run itself last; ends early if the hub hangs up."""
    headers = {"Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    with transport.stream("GET", api_path("runs", run_id, "events"), headers=headers) as response:
        for event in EventSource(response):
            value = _parse(event.data, transport.url)
            yield event.id, value if event.event == END_EVENT else _progress(value)


def _parse(data: str, url: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise NotAHub(f"{url} sent an event that no hub sends.", next_step="Check DIZUO_URL.")
    return value


def _progress(value: dict[str, Any]) -> Progress:
    """The event, without keys that a newer hub may send."""
    known = {name: value[name] for name in Progress.__dataclass_fields__ if name in value}
    return Progress(**{"stage": "", **known})
