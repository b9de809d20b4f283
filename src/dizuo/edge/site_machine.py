"""The states of a site's update, as the agent walks them and the hub shows them.

A site that serves keeps serving its last good generation all the while: `verifying` to `probing`
happen beside it. Only `switching` touches what answers, and `fallen_back` means that the last good
generation answers again after an attempt failed. A site that never had one goes back to `empty`.
"""

from __future__ import annotations

from typing import Literal

from dizuo.core.transitions import Rule, StateMachine

EMPTY = "empty"
SERVING = "serving"
VERIFYING = "verifying"
FETCHING = "fetching"
STAGING = "staging"
PROBING = "probing"
SWITCHING = "switching"
FALLEN_BACK = "fallen_back"

RESTING = (EMPTY, SERVING, FALLEN_BACK)
UPDATING = (VERIFYING, FETCHING, STAGING, PROBING, SWITCHING)

SITE_UPDATE = StateMachine(
    thing="site",
    initial=EMPTY,
    rules=(
        Rule("verify", RESTING, VERIFYING),
        Rule("fetch", (VERIFYING,), FETCHING),
        Rule("stage", (FETCHING,), STAGING),
        Rule("probe", (STAGING,), PROBING),
        Rule("switch", (PROBING,), SWITCHING),
        # A desired set without stacks has nothing to fetch or to probe.
        Rule("switch", (VERIFYING,), SWITCHING),
        Rule("serve", (SWITCHING,), SERVING),
        Rule("clear", (SWITCHING,), EMPTY),
        # The attempt failed, or the watch after the switch found the new generation unfit.
        # An empty generation can be unfit too: where it cannot be written down, say.
        Rule("fall_back", (*UPDATING, SERVING, EMPTY), FALLEN_BACK),
        Rule("give_up", (*UPDATING, SERVING, EMPTY), EMPTY),
        # The agent was killed in the middle, or the hub now wants what already runs.
        Rule("resume_serving", (*UPDATING, EMPTY, FALLEN_BACK), SERVING),
        Rule("resume_empty", UPDATING, EMPTY),
    ),
)
"""`fall_back` needs a last good generation, `give_up` is for a site that has none."""

WireState = Literal["empty", "updating", "serving", "fallen_back"]

_WIRE: dict[str, WireState] = {
    EMPTY: "empty",
    SERVING: "serving",
    FALLEN_BACK: "fallen_back",
    **dict.fromkeys(UPDATING, "updating"),
}


def wire_state(state: str) -> WireState:
    """What a check-in says for a state of the machine: every step of an update is `updating`.

    Raises:
        KeyError: the machine has no such state.
    """
    return _WIRE[state]
