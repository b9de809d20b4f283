"""The durable side of the loop: DBOS workflows that outlive the hub's crashes.

A workflow's own body is as small as it can be: it repeats one step, `advance`, until the
improvement rests: it is final, or waits for a person. What `advance` does next is read from the
improvement's state in the database, and every state change commits together with what caused it.
So a hub killed anywhere repeats at most the unfinished part of one state. DBOS replays only a list
of finished `advance` calls, never the code of the states, so new code can be deployed under a
pending workflow. And should DBOS not be able to go on with one (its history was written by other
steps, or an operator cancelled it), the next workflow of the same improvement simply takes over:
nothing is known to DBOS alone.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowStatus

APPLICATION_VERSION = "improve-1"
"""Given to DBOS in place of its hash of our source: raised only when the step list changes."""

_UNDER_WAY = ("PENDING", "ENQUEUED")


class HubStopping(BaseException):
    """Leaves a workflow as it is, for the next start of the hub to go on with.

    Not an `Exception`: DBOS writes those down as the step's outcome, and this is none.
    """


class Workflows:
    """Runs improvements; one in a process, since DBOS is one in a process.

    Args:
        advance: does the work of an improvement's present state; whether it has to go on.
    """

    def __init__(self, advance: Callable[[str], bool]) -> None:
        self._advance = advance
        self._running: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._suspects: set[str] = set()

    def launch(self, database_url: str) -> None:
        """Start DBOS; pending workflows of an earlier process go on by themselves."""
        config: DBOSConfig = {
            "name": "dizuo",
            "system_database_url": database_url,
            "application_version": APPLICATION_VERSION,
            "executor_id": "hub",
            "log_level": "WARNING",
        }
        DBOS(config=config)

        @DBOS.step(name="advance")
        def advance(improvement_id: str) -> bool:
            return self._advance(improvement_id)

        # A hub that waits for a person for months is restarted often; that is no reason to give up.
        @DBOS.workflow(name="improve", max_recovery_attempts=None)
        def improve(improvement_id: str) -> None:
            with self._counted(improvement_id):
                while advance(improvement_id):
                    pass

        self._improve = improve
        DBOS.launch()

    @contextmanager
    def _counted(self, improvement_id: str) -> Iterator[None]:
        with self._changed:
            self._running[improvement_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[improvement_id] -= 1
                self._running += Counter()  # drops those that are not running any more
                self._changed.notify_all()

    def ensure(self, improvement_id: str) -> None:
        """See that a workflow of this improvement is under way; calling it again is harmless.

        One that DBOS calls pending but that this process does not run is about to be recovered. If
        it is still so at the next call, its thread has died, and another takes over.
        """
        if improvement_id in self._running:
            return
        known = DBOS.list_workflows(
            workflow_id_prefix=improvement_id, load_input=False, load_output=False
        )
        if any(self._is_under_way(status) for status in known):
            return
        with SetWorkflowID(f"{improvement_id}:{len(known) + 1}"):
            DBOS.start_workflow(self._improve, improvement_id)

    def _is_under_way(self, status: WorkflowStatus) -> bool:
        if status.status not in _UNDER_WAY:
            return False
        if status.app_version == APPLICATION_VERSION and status.workflow_id not in self._suspects:
            self._suspects.add(status.workflow_id)
            return True
        self._suspects.discard(status.workflow_id)
        DBOS.cancel_workflow(status.workflow_id)
        return False

    def shut_down(self, timeout_seconds: float) -> None:
        """Stop DBOS, once the steps under way have heard that the hub stops, or the time is over.

        Unfinished workflows go on at the next launch.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout_seconds)
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0)
