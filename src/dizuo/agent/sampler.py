"""Chooses which answered rows to return to the hub, within the site's policy and budget.

For each row, in this order: a random control share, so that the hub also sees an unbiased picture;
then the scores, for what the model is unsure of or finds new. What was chosen is shown to the
egress policy, and only what that lets out is charged to the day's budget and queued. Being charged
and queued takes several writes that must be on disk, so rows of many requests do it together.
"""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dizuo.agent.egress_log import ByteBudget, EgressLog
from dizuo.agent.outbox import Leaving, Outbox, encode_sample
from dizuo.agent.sampler_scores import SamplerScore, Thresholds
from dizuo.core.clock import Clock
from dizuo.edge.egress import EgressPolicy, NothingLeaves
from dizuo.edge.wire import Direction, Sample, sample_digest
from dizuo.families import registry
from dizuo.families.base import Observation

SCORED_SHARE = 0.8
"""The part of every bound that chosen rows may use: of the day's budget, of the outbox, and of what
waits for the sampler. The rest is for the control share, which would otherwise end on the days it
matters most: when everything looks unsure."""
_NOTHING_LEAVES = "The policy none keeps every sample here."

Reason = Literal["uncertain", "novel", "control"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered: by which stack, its body, and what was said of each row."""

    direction: Direction
    body: bytes
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What shall be looked at of one answered request: the rows, by their place, and why.

    The body is empty where the policy lets nothing out: there is only the denial to write down.
    """

    direction: Direction
    body: bytes
    rows: tuple[tuple[int, Reason, Observation], ...]

    @property
    def has_control(self) -> bool:
        """Whether a row of the control share is among them."""
        return any(reason == "control" for _, reason, _ in self.rows)

    def only_control(self) -> Chosen:
        """The same without the rows that a score chose."""
        return replace(self, rows=tuple(row for row in self.rows if row[1] == "control"))

    def count(self) -> Counter[tuple[str, Reason]]:
        """How many rows, by the name that was asked and the reason."""
        return Counter((self.direction.served_as, reason) for _, reason, _ in self.rows)


@dataclass(frozen=True, slots=True)
class SamplerRules:
    """How rows are chosen. With a `seed`, the same rows in the same order are chosen again."""

    scores: tuple[SamplerScore, ...]
    thresholds: Thresholds = field(default_factory=Thresholds)
    control_share: float = 0.02
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Exits:
    """What a sample passes on its way out: the policy, the log, the budget, and the queue."""

    policy: EgressPolicy
    log: EgressLog
    budget: ByteBudget
    outbox: Outbox
    outbox_bytes_at_most: int


class Sampler:
    """Decides about answered requests. `choose` may be called on one thread, `examine` and `queue`
    on another."""

    def __init__(self, rules: SamplerRules, exits: Exits, clock: Clock) -> None:
        self._rules = rules
        self._exits = exits
        self._clock = clock
        self._random = random.Random(rules.seed)
        self._nothing_leaves = isinstance(exits.policy, NothingLeaves)

    def consider(self, answered: Answered) -> int:
        """Queue what shall return of one request; returns how many rows that was."""
        chosen = self.choose(answered)
        return 0 if chosen is None else self.queue(self.examine(chosen))

    def choose(self, answered: Answered) -> Chosen | None:
        """The rows worth returning; None if there are none. Fast: the body is not looked at."""
        rows = tuple(
            (index, reason, observation)
            for index, observation in enumerate(answered.observations)
            if (reason := self._reason(observation)) is not None
        )
        if not rows:
            return None
        return Chosen(answered.direction, b"" if self._nothing_leaves else answered.body, rows)

    def examine(self, chosen: Chosen) -> list[Leaving]:
        """What the policy lets out of the chosen rows; what it denies is written down as denied."""
        if self._nothing_leaves:
            for (served_as, reason), num_rows in chosen.count().items():
                self._exits.log.denied(served_as, reason, _NOTHING_LEAVES, num_rows=num_rows)
            return []
        family = registry.spec(chosen.direction.family)
        rows = family.rows(json.loads(chosen.body), [index for index, _, _ in chosen.rows])
        samples = (
            self._sample(chosen.direction, row, reason, observation)
            for row, (_, reason, observation) in zip(rows, chosen.rows, strict=True)
        )
        return [leaving for sample in samples if (leaving := self._show(sample)) is not None]

    def queue(self, leaving: Sequence[Leaving]) -> int:
        """Queue what is new and within the bounds; returns how many samples that was. What is
        beyond a bound is written down as denied.

        Raises:
            OSError: the disk does not take it; nothing was queued.
        """
        fitting: dict[str, Leaving] = {}
        size_bytes = 0
        for one in leaving:
            if one.sample.digest in fitting or self._exits.outbox.holds(one.sample.digest):
                continue
            why_not = self._why_not(one, size_bytes)
            if why_not:
                self._exits.log.denied(one.sample.served_as, one.sample.reason, why_not)
                continue
            fitting[one.sample.digest] = one
            size_bytes += len(one.encoded)
        if fitting:
            self._let_out(list(fitting.values()), size_bytes)
        return len(fitting)

    def _why_not(self, leaving: Leaving, taken_bytes: int) -> str:
        """Why a sample is beyond a bound once `taken_bytes` are taken; empty if it is not."""
        exits = self._exits
        share = 1.0 if leaving.sample.reason == "control" else SCORED_SHARE
        size_bytes = taken_bytes + len(leaving.encoded)
        if exits.outbox.size_bytes() + size_bytes > exits.outbox_bytes_at_most * share:
            return "The outbox is full."
        if not exits.budget.allows(size_bytes, share=share):
            return "The day's byte budget is used up."
        return ""

    def _let_out(self, leaving: Sequence[Leaving], size_bytes: int) -> None:
        # In this order: a crash in between charges or logs what stays, never the other way round.
        self._exits.budget.spend(size_bytes)
        self._exits.log.allowed(leaving)
        self._exits.outbox.put(leaving)

    def _reason(self, observation: Observation) -> Reason | None:
        # The draw comes first and for every row: the control share must not depend on the scores.
        if self._random.random() < self._rules.control_share:
            return "control"
        for score in self._rules.scores:
            if score.keeps(observation, self._rules.thresholds):
                return score.reason
        return None

    def _sample(
        self,
        direction: Direction,
        row: Mapping[str, Any],
        reason: Reason,
        observation: Observation,
    ) -> Sample:
        encoded = {column: _encode(value) for column, value in row.items()}
        return Sample(
            digest=sample_digest(encoded, direction.digest),
            family=direction.family,
            served_as=direction.served_as,
            stack_digest=direction.digest,
            row=encoded,
            answer=observation.answer,
            confidence=observation.confidence,
            reason=reason,
            taken_ms=self._clock(),
        )

    def _show(self, sample: Sample) -> Leaving | None:
        decision = self._exits.policy.decide(sample)
        if decision.leaving is None:
            self._exits.log.denied(sample.served_as, sample.reason, decision.reason)
            return None
        return Leaving(decision.leaving, encode_sample(decision.leaving), decision.reason)


def _encode(value: Any) -> Any:
    """A column's value as a sample carries it: bytes become `{"base64": …}`."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value
