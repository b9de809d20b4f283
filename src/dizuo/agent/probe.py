"""A new generation proves itself before it serves: golden answers, latency, memory.

What cannot be measured has not passed: a stack without a golden set does not serve.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dizuo.agent.answers import EngineAnswer
from dizuo.agent.engine_host import EngineHost
from dizuo.agent.errors import ProbeFailed
from dizuo.agent.fleet import Fleet
from dizuo.agent.generations import StagedStack
from dizuo.agent.threads import in_thread
from dizuo.families import registry
from dizuo.families.base import Answer
from dizuo.families.golden import Probe, probe, read_golden


@dataclass(frozen=True, slots=True)
class ProbeRules:
    """What a stack and its engine must keep. An `engine_bytes_at_most` of 0 sets no limit."""

    agreement_at_least: float = 0.85
    p95_ms_at_most: float = 5_000.0
    engine_bytes_at_most: int = 0


class RemoteEngine:
    """A running engine as families see one, for callers in other threads than the event loop."""

    def __init__(self, host: EngineHost, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        """As `dizuo.families.base.Engine.infer`."""
        asking = self._host.infer(stack, json.dumps(request).encode())
        reply: EngineAnswer = asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        return Answer(json.loads(reply.body), reply.observations)

    def describe(self, stack: str) -> dict[str, Any]:
        """As `dizuo.families.base.Engine.describe`."""
        return self._host.described[stack]

    def close(self) -> None:
        """The process belongs to its host; nothing to give back here."""


async def probe_fleet(fleet: Fleet, rules: ProbeRules) -> dict[str, Probe]:
    """Probe every stack of a fleet; returns what was measured, by the name it is served under.

    Raises:
        ProbeFailed: a rule is broken; the sentence says which and by how much.
        LayerRefused: a stack carries no golden set.
    """
    loop = asyncio.get_running_loop()
    measured: dict[str, Probe] = {}
    for stack in fleet.generation.stacks:
        name = stack.direction.served_as
        engine = RemoteEngine(fleet.routes[name].host, loop)
        measured[name] = await in_thread(
            lambda stack=stack, engine=engine: _measure(stack, engine),  # type: ignore[misc]
            name="probe",
        )
        judge(name, measured[name], rules)
    for host in fleet.hosts:
        judge_memory(host, rules)
    return measured


def _measure(stack: StagedStack, engine: RemoteEngine) -> Probe:
    golden = read_golden(stack.files.top.directory)
    scorer = registry.scorer(stack.direction.family)
    return probe(engine, stack.direction.served_as, golden, scorer)


def judge(name: str, measured: Probe, rules: ProbeRules) -> None:
    """Hold one stack's figures against the rules.

    Raises:
        ProbeFailed: too few rows agree, or answers take too long.
    """
    if measured.agreement < rules.agreement_at_least:
        raise ProbeFailed(
            f"{name} answers {measured.num_agree} of {measured.num_rows} golden rows as expected; "
            f"at least {rules.agreement_at_least:.0%} must.",
            next_step="Compare the engine versions of hub and site.",
        )
    if measured.p95_ms > rules.p95_ms_at_most:
        raise ProbeFailed(
            f"{name} took {measured.p95_ms:.0f} ms (95th percentile); at most "
            f"{rules.p95_ms_at_most:.0f} ms are allowed here.",
            next_step="Allow more with DIZUO_AGENT_PROBE_P95_MS_AT_MOST, or use a smaller model.",
        )


def judge_memory(host: EngineHost, rules: ProbeRules) -> None:
    """Hold what an engine takes, after it answered its golden rows, against the rules.

    Raises:
        ProbeFailed: it takes more than it may.
    """
    used = host.memory_bytes()
    if rules.engine_bytes_at_most and used > rules.engine_bytes_at_most:
        raise ProbeFailed(
            f"The engine of {', '.join(sorted(host.plan.stacks))} takes {used} bytes of memory; "
            f"at most {rules.engine_bytes_at_most} are allowed here.",
            next_step="Allow more with DIZUO_AGENT_ENGINE_BYTES_AT_MOST, or serve fewer stacks.",
        )
