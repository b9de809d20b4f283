"""Chooses which answered rows to return to the hub, within the site's policy and budget.

For each row, in this order: a random control share, so that the hub also sees an unbiased picture;
then the scores, for what the model is unsure of or finds new. What was chosen is shown to the
egress policy, and only what that lets out is charged to the day's budget and queued.
"""

from __future__ import annotations

import base64
import json
import logging
import queue
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dizuo.agent.egress_log import ByteBudget, EgressLog
from dizuo.agent.outbox import Outbox, encode_sample
from dizuo.agent.sampler_scores import SamplerScore, Thresholds
from dizuo.core.clock import Clock
from dizuo.edge.egress import EgressPolicy
from dizuo.edge.wire import Direction, Sample, sample_digest
from dizuo.families import registry
from dizuo.families.base import Observation

SCORED_SHARE = 0.8
"""The part of the day's budget that chosen rows may use; the rest is for the control share, which
would otherwise end on the days it matters most: when everything looks unsure."""
_QUEUE_LENGTH = 256
_log = logging.getLogger(__name__)

Reason = Literal["uncertain", "novel", "control"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered: by which stack, its body, and what was said of each row."""

    direction: Direction
    body: bytes
    observations: tuple[Observation, ...]


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
    """Decides about answered requests, one at a time. Not for several threads at once."""

    def __init__(self, rules: SamplerRules, exits: Exits, clock: Clock) -> None:
        self._rules = rules
        self._exits = exits
        self._clock = clock
        self._random = random.Random(rules.seed)

    def consider(self, answered: Answered) -> int:
        """Queue what shall return of one request; returns how many rows that was."""
        chosen = [
            (index, reason)
            for index, observation in enumerate(answered.observations)
            if (reason := self._reason(observation)) is not None
        ]
        if not chosen:
            return 0
        family = registry.spec(answered.direction.family)
        rows = family.rows(json.loads(answered.body), [index for index, _ in chosen])
        return sum(
            self._let_out(self._sample(answered, row, index, reason))
            for row, (index, reason) in zip(rows, chosen, strict=True)
        )

    def _reason(self, observation: Observation) -> Reason | None:
        # The draw comes first and for every row: the control share must not depend on the scores.
        if self._random.random() < self._rules.control_share:
            return "control"
        for score in self._rules.scores:
            if score.keeps(observation, self._rules.thresholds):
                return score.reason
        return None

    def _sample(
        self, answered: Answered, row: Mapping[str, Any], index: int, reason: Reason
    ) -> Sample:
        observation = answered.observations[index]
        encoded = {column: _encode(value) for column, value in row.items()}
        return Sample(
            digest=sample_digest(encoded, answered.direction.digest),
            family=answered.direction.family,
            served_as=answered.direction.served_as,
            stack_digest=answered.direction.digest,
            row=encoded,
            answer=observation.answer,
            confidence=observation.confidence,
            reason=reason,
            taken_ms=self._clock(),
        )

    def _let_out(self, sample: Sample) -> bool:
        decision = self._exits.policy.decide(sample)
        if decision.leaving is None:
            self._exits.log.denied(sample.served_as, sample.reason, decision.reason)
            return False
        return self._queue(decision.leaving, decision.reason)

    def _queue(self, sample: Sample, why: str) -> bool:
        exits = self._exits
        if exits.outbox.holds(sample.digest):
            return False
        encoded = encode_sample(sample)
        if exits.outbox.size_bytes() + len(encoded) > exits.outbox_bytes_at_most:
            exits.log.denied(sample.served_as, sample.reason, "The outbox is full.")
            return False
        share = 1.0 if sample.reason == "control" else SCORED_SHARE
        if not exits.budget.spend(len(encoded), share=share):
            exits.log.denied(sample.served_as, sample.reason, "The day's byte budget is used up.")
            return False
        exits.log.allowed(sample, len(encoded), why)
        exits.outbox.put(sample, encoded)
        return True


def _encode(value: Any) -> Any:
    """A column's value as a sample carries it: bytes become `{"base64": …}`."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value


class SamplerThread:
    """Runs a sampler beside the local API, so that answers never wait for it.

    When more comes than it can look at, the newest is left out: samples are a choice anyway.

    Args:
        sampler: what decides.
        log: flushed at the end.
        queued: called, on this thread, after something was queued.
    """

    def __init__(self, sampler: Sampler, log: EgressLog, queued: Callable[[], object]) -> None:
        self._sampler = sampler
        self._queued = queued
        self._egress_log = log
        self._queue: queue.Queue[Answered | None] = queue.Queue(_QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def offer(self, answered: Answered) -> None:
        """Hand over an answered request. Never waits."""
        try:
            self._queue.put_nowait(answered)
        except queue.Full:
            _log.info("the sampler is behind; one request was not looked at")

    @property
    def backlog(self) -> int:
        """How many answered requests were handed over and are not decided about yet."""
        return self._queue.unfinished_tasks

    def _run(self) -> None:
        while (answered := self._queue.get()) is not None:
            try:
                if self._sampler.consider(answered):
                    self._queued()
            except Exception:  # noqa: BLE001 - the edge of a thread: it must see the next request
                _log.exception("a request could not be sampled")
            finally:
                self._queue.task_done()

    def close(self) -> None:
        """Look at what was handed over, write the log, and end."""
        self._queue.put(None)
        self._thread.join()
        self._egress_log.flush()
