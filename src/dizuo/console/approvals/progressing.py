"""Where an improvement is, in words: its state, its steps, and who did what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dizuo.audit.model import AuditEntry
from dizuo.console.elements.markup import EMPTY, badge, join, link, tag
from dizuo.console.elements.places import (
    dataset_link,
    improvement_address,
    rollout_address,
    run_address,
    stack_ref_link,
)
from dizuo.console.elements.telling import when
from dizuo.console.messages import Words
from dizuo.console.sentences import spoken
from dizuo.improvements.model import Improvement, State

STATE_TONES = {
    State.AWAITING_REVIEW: "warn",
    State.AWAITING_APPROVAL: "warn",
    State.DONE: "good",
    State.REJECTED: "neutral",
    State.FAILED: "bad",
}
_STEPS = (
    State.AWAITING_REVIEW,
    State.COLLECTING,
    State.TUNING,
    State.GATING,
    State.AWAITING_APPROVAL,
    State.RELEASING,
    State.DIRECTING,
    State.ROLLING_OUT,
)
"""What an improvement goes through, in order; not all of them need an approval."""
_STEP_TONES = {"done": "good", "now": "busy", "stopped": "bad", "ahead": "neutral"}


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One step of an improvement: `standing` is done, now, stopped or ahead; `entry` is the audit
    entry that ended it, where it has ended."""

    state: State
    standing: str
    entry: AuditEntry | None = None


def steps_seen(improvement: Improvement, entries: Sequence[AuditEntry]) -> list[StepSeen]:
    """How far an improvement is.

    Args:
        improvement: which.
        entries: what happened to it, oldest first.
    """
    ended: dict[State, AuditEntry] = {}
    state = _STEPS[0]
    for entry in entries:
        if "state" in entry.detail:
            ended[state], state = entry, State(entry.detail["state"])
            ended.pop(state, None)  # it has come back to what it had left
    stopped = improvement.state in (State.REJECTED, State.FAILED)
    last = max((_STEPS.index(one) for one in ended), default=-1)
    return [
        StepSeen(step, _standing(improvement, step, ended, stopped and index == last), ended[step])
        if step in ended
        else StepSeen(step, _standing(improvement, step, ended, False))
        for index, step in enumerate(_STEPS)
        if _is_taken(improvement, step, ended)
    ]


def _is_taken(improvement: Improvement, step: State, ended: dict[State, AuditEntry]) -> bool:
    if step is not State.AWAITING_APPROVAL:
        return True
    asked = improvement.state is step or step in ended
    return asked or (improvement.needs_approval and not improvement.is_final)


def _standing(
    improvement: Improvement, step: State, ended: dict[State, AuditEntry], stopped: bool
) -> str:
    if stopped:
        return "stopped"
    if improvement.state is step:
        return "now"
    return "done" if step in ended else "ahead"


def state_badge(words: Words, state: State) -> Markup:
    """A state as a word with its tone."""
    return badge(words(f"improvement.is_{state.value}"), STATE_TONES.get(state, "busy"))


def place_of(words: Words, improvement: Improvement) -> str:
    """Which step of how many."""
    steps = [one for one in _STEPS if _is_taken(improvement, one, {})]
    if improvement.state not in steps:
        return ""
    at = steps.index(improvement.state) + 1
    return words("word.part_of", part=at, whole=len(steps))


def named(improvement: Improvement) -> Markup:
    """An improvement, leading to its page: what it made, or else what it is about."""
    name = improvement.stack or improvement.request.served_as
    return link(name, improvement_address(improvement.id))


def steps(words: Words, improvement: Improvement, seen: Sequence[StepSeen], now_ms: int) -> Markup:
    """The steps in order, each with what it made."""
    return tag("ol", *(_step(words, improvement, one, now_ms) for one in seen), class_="steps")


def _step(words: Words, improvement: Improvement, one: StepSeen, now_ms: int) -> Markup:
    title = tag("strong", words(f"improvement.step_{one.state.value}"))
    standing = badge(words(f"improvement.{one.standing}"), _STEP_TONES[one.standing])
    made = join(_made(words, improvement, one.state), " · ")
    ended = when(words, one.entry.at_ms, now_ms) if one.entry else EMPTY
    reason = tag("p", spoken(words, improvement.reason)) if _is_last(improvement, one) else EMPTY
    head = tag("div", title, standing, tag("span", ended, class_="muted"), class_="step-head")
    return tag("li", head, tag("p", made) if made else EMPTY, reason, class_=one.standing)


def _is_last(improvement: Improvement, one: StepSeen) -> bool:
    return bool(improvement.reason) and one.standing in ("now", "stopped")


def _made(words: Words, improvement: Improvement, state: State) -> Iterator[Markup]:
    if state is State.COLLECTING:
        yield from map(dataset_link, improvement.dataset_versions)
    elif state is State.TUNING:
        if improvement.tune_run_id:
            yield link(words("improvement.run"), run_address(improvement.tune_run_id))
        if improvement.stack:
            yield stack_ref_link(improvement.stack)
    elif state is State.GATING and improvement.gate_run_id:
        yield link(words("improvement.run"), run_address(improvement.gate_run_id))
    elif state is State.RELEASING and improvement.release_id:
        yield link(words("improvement.release"), "/releases")
    elif state in (State.DIRECTING, State.ROLLING_OUT) and improvement.rollout_id:
        yield link(words("improvement.rollout"), rollout_address(improvement.rollout_id))
