"""The durable side of the loop: a DBOS workflow that outlives the hub's crashes.

The workflow's own body is as small as it can be: it repeats one step, `advance`, until the
improvement is final. What `advance` does next is read from the improvement's state in the database,
and every state change commits together with what caused it. So a hub killed anywhere repeats at
most the unfinished part of one state, and new code for a state can be deployed under a pending
workflow: DBOS replays only a list of finished `advance` calls, never the code of the states.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dbos import DBOS, DBOSConfig, DBOSConfiguredInstance, SetWorkflowID

from dizuo.improvements.model import IMPROVEMENT_MACHINE, State

APPLICATION_VERSION = "improve-1"
"""Given to DBOS in place of its hash of our source: raised only when the step list changes."""

_APPROVAL_TOPIC = "approval"
_LOOK_AGAIN_SECONDS = 300.0
_logger = logging.getLogger(__name__)


@DBOS.dbos_class("improve")
class ImproveWorkflow(DBOSConfiguredInstance):
    """Runs improvements.

    Args:
        advance: does the work of an improvement's present state and returns the state after it.
    """

    def __init__(self, advance: Callable[[str], State]) -> None:
        self._advance = advance
        super().__init__(config_name="hub")

    @DBOS.workflow(name="improve")
    def run(self, improvement_id: str) -> str:
        """Advance until nothing more will happen; the final state."""
        while True:
            state = self.advance(improvement_id)
            if state in IMPROVEMENT_MACHINE.final_states:
                return state
            if state == State.AWAITING_APPROVAL:
                DBOS.recv(_APPROVAL_TOPIC, timeout_seconds=_LOOK_AGAIN_SECONDS)

    @DBOS.step(name="advance")
    def advance(self, improvement_id: str) -> str:
        """One step forward; repeated from its start if the hub dies in it."""
        return self._advance(improvement_id).value


def launch(database_url: str, advance: Callable[[str], State]) -> ImproveWorkflow:
    """Start DBOS in this process; pending workflows of an earlier process go on by themselves."""
    config: DBOSConfig = {
        "name": "dizuo",
        "system_database_url": database_url,
        "application_version": APPLICATION_VERSION,
        "executor_id": "hub",
        "log_level": "WARNING",
    }
    DBOS(config=config)
    workflow = ImproveWorkflow(advance)
    DBOS.launch()
    return workflow


def begin(workflow: ImproveWorkflow, improvement_id: str) -> None:
    """Start the workflow of an improvement; a second call for the same one changes nothing."""
    with SetWorkflowID(improvement_id):
        DBOS.start_workflow(workflow.run, improvement_id)


def wake(improvement_id: str) -> None:
    """Tell a workflow that waits for approval to look at the database again."""
    DBOS.send(improvement_id, "look", topic=_APPROVAL_TOPIC)


def shut_down() -> None:
    """Stop DBOS; unfinished workflows go on at the next launch."""
    DBOS.destroy(workflow_completion_timeout_sec=0)
