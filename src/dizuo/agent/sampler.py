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
from dizuo.edge.egress import EgressPolicy, NothingLeaves
from dizuo.edge.wire import Direction, Sample, sample_digest
from dizuo.families import registry
from dizuo.families.base import Observation

SCORED_SHARE = 0.8
"""The part of the day's budget that chosen rows may use; the rest is for the control share, which
would otherwise end on the days it matters most: when everything looks unsure."""
QUEUE_LENGTH = 256
QUEUE_BYTES = 64_000_000
"""What waits for the sampler is bounded in number and in bytes of bodies; a body that is larger by
itself is taken when nothing else waits."""
_NOTHING_LEAVES = "The policy none keeps every sample here."
_log = logging.getLogger(__name__)

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
    """Decides about answered requests, one at a time. `choose` and `let_out` may be called on two
    threads, each of them on one."""

    def __init__(self, rules: SamplerRules, exits: Exits, clock: Clock) -> None:
        self._rules = rules
        self._exits = exits
        self._clock = clock
        self._random = random.Random(rules.seed)
        self._nothing_leaves = isinstance(exits.policy, NothingLeaves)

    def consider(self, answered: Answered) -> int:
        """Queue what shall return of one request; returns how many rows that was."""
        chosen = self.choose(answered)
        return 0 if chosen is None else self.let_out(chosen)

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

    def let_out(self, chosen: Chosen) -> int:
        """Queue of the chosen rows what policy and budget allow; returns how many that was."""
        if self._nothing_leaves:
            for _, reason, _ in chosen.rows:
                self._exits.log.denied(chosen.direction.served_as, reason, _NOTHING_LEAVES)
            return 0
        family = registry.spec(chosen.direction.family)
        rows = family.rows(json.loads(chosen.body), [index for index, _, _ in chosen.rows])
        return sum(
            self._let_out(self._sample(chosen.direction, row, reason, observation))
            for row, (_, reason, observation) in zip(rows, chosen.rows, strict=True)
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

    Which rows are wanted is decided at once, from what the engine observed; only of these requests
    the body is kept. When more comes than can be looked at, the newest is left out: samples are a
    choice anyway.

    Args:
        sampler: what decides.
        log: flushed at the end.
        queued: called, on this thread, after something was queued.
    """

    def __init__(self, sampler: Sampler, log: EgressLog, queued: Callable[[], object]) -> None:
        self._sampler = sampler
        self._queued = queued
        self._egress_log = log
        self._queue: queue.Queue[Chosen | None] = queue.Queue(QUEUE_LENGTH)
        self._lock = threading.Lock()
        self._size_bytes = 0
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def offer(self, answered: Answered) -> None:
        """Hand over an answered request, from one thread. Never waits, and never raises: the
        answer is on its way, whatever a score makes of it."""
        try:
            chosen = self._sampler.choose(answered)
        except Exception:  # noqa: BLE001 - the edge to scores, which may be a stranger's
            _log.exception("a request could not be considered")
            return
        if chosen is not None and not self._put(chosen):
            _log.info("the sampler is behind; one request was not looked at")

    def _put(self, chosen: Chosen) -> bool:
        size = len(chosen.body)
        with self._lock:
            if self._size_bytes and self._size_bytes + size > QUEUE_BYTES:
                return False
            try:
                self._queue.put_nowait(chosen)
            except queue.Full:
                return False
            self._size_bytes += size
        return True

    @property
    def backlog(self) -> int:
        """How many answered requests were handed over and are not decided about yet."""
        return self._queue.unfinished_tasks

    @property
    def size_bytes(self) -> int:
        """The bytes of bodies that are kept for them."""
        return self._size_bytes

    def _run(self) -> None:
        while (chosen := self._queue.get()) is not None:
            try:
                if self._sampler.let_out(chosen):
                    self._queued()
            except Exception:  # noqa: BLE001 - the edge of a thread: it must see the next request
                _log.exception("a request could not be sampled")
            finally:
                with self._lock:
                    self._size_bytes -= len(chosen.body)
                self._queue.task_done()

    def close(self) -> None:
        """Look at what was handed over, write the log, and end."""
        self._queue.put(None)
        self._thread.join()
        self._egress_log.flush()
