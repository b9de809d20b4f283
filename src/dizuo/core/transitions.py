"""State machines as one table of named transitions.

A machine is data: a name, where things start, and rules that each say from where to where. A state
that no rule leads to, or two rules with one name and one source, is refused when the table is
written, not when it fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dizuo.core.errors import Conflict


class TransitionRefused(Conflict):
    """The machine has no rule of this name from the state the thing is in."""

    code = "transition_refused"


@dataclass(frozen=True, slots=True)
class Rule:
    """The transition `name` leads from any of `sources` to `target`."""

    name: str
    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class StateMachine:
    """A table of rules for one kind of `thing` (a word for people: "run", "site", "sample")."""

    thing: str
    initial: str
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        keys = [(rule.name, source) for rule in self.rules for source in rule.sources]
        if len(keys) != len(set(keys)):
            raise ValueError(f"two rules of {self.thing} share a name and a source")
        unreachable = {source for _, source in keys} - self._reachable()
        if unreachable:
            raise ValueError(f"no rule of {self.thing} leads to {sorted(unreachable)}")

    def _reachable(self) -> set[str]:
        seen = {self.initial}
        while True:
            new = {r.target for r in self.rules if seen.intersection(r.sources)} - seen
            if not new:
                return seen
            seen |= new

    @property
    def states(self) -> frozenset[str]:
        """Every state a thing can be in."""
        return frozenset(self._reachable())

    @property
    def final_states(self) -> frozenset[str]:
        """The states that no rule leaves."""
        return self.states - {source for rule in self.rules for source in rule.sources}

    def apply(self, state: str, name: str) -> str:
        """The state after transition `name` from `state`.

        Raises:
            TransitionRefused: no rule allows it.
        """
        for rule in self.rules:
            if rule.name == name and state in rule.sources:
                return rule.target
        raise TransitionRefused(
            f"This {self.thing} is {state} and cannot {name.replace('_', ' ')}.",
            next_step=f"From {state} it can: {', '.join(self.allowed(state)) or 'nothing'}.",
        )

    def allowed(self, state: str) -> Sequence[str]:
        """The names of the transitions that leave `state`, sorted."""
        return sorted({rule.name for rule in self.rules if state in rule.sources})
