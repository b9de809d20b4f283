"""The engines of one generation: one process for each base, and the routes into them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dizuo.agent.engine_host import EngineHost, EngineLimits
from dizuo.agent.engine_process import EnginePlan
from dizuo.agent.generations import Generation, StagedStack
from dizuo.agent.slots import Route


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """How engines are run."""

    log: Path
    threads: int = 1
    limits: EngineLimits = field(default_factory=EngineLimits)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A generation with its engines running. Make one with `start_fleet`."""

    generation: Generation
    hosts: tuple[EngineHost, ...]
    routes: Mapping[str, Route]
    changed: asyncio.Event
    """Set whenever an engine has answered, failed or died."""

    @property
    def num_answers(self) -> int:
        """Requests answered since the start."""
        return sum(host.num_answers for host in self.hosts)

    @property
    def num_crashes(self) -> int:
        """Engine processes that ended without being asked to."""
        return sum(host.num_crashes for host in self.hosts)

    @property
    def num_errors(self) -> int:
        """Requests that failed through no fault of theirs."""
        return sum(host.num_errors for host in self.hosts)

    @property
    def stopped(self) -> bool:
        """Whether its engines were ended; one without engines never is."""
        return any(host.stopped for host in self.hosts)

    def memory_bytes(self) -> int:
        """What all its processes hold in memory now."""
        return sum(host.memory_bytes() for host in self.hosts)

    async def stop(self, drain_seconds: float) -> None:
        """Let what is in flight finish, then end every engine."""
        await asyncio.gather(*(host.stop(drain_seconds) for host in self.hosts))


def plan_engines(generation: Generation, threads: int) -> list[EnginePlan]:
    """One plan for each family and base of a generation, in a fixed order."""
    groups: dict[tuple[str, str], list[StagedStack]] = {}
    for stack in generation.stacks:
        groups.setdefault((stack.direction.family, stack.base), []).append(stack)
    return [
        EnginePlan(
            family, threads, {stack.direction.served_as: stack.files for stack in groups[family, b]}
        )
        for family, b in sorted(groups)
    ]


async def start_fleet(generation: Generation, options: FleetOptions) -> Fleet:
    """Start every engine of a generation. If one cannot, none is left.

    Raises:
        LayerRefused: a layer does not fit.
        EngineFailed: an engine died or took too long while it opened its stacks.
    """
    changed = asyncio.Event()
    hosts: list[EngineHost] = []
    try:
        for plan in plan_engines(generation, options.threads):
            host = EngineHost(plan, options.log, options.limits, changed)
            await host.start()
            hosts.append(host)
    except BaseException:
        await asyncio.gather(*(host.stop(0) for host in hosts))
        raise
    return Fleet(generation, tuple(hosts), _routes(generation, hosts), changed)


def _routes(generation: Generation, hosts: list[EngineHost]) -> dict[str, Route]:
    by_name = {name: host for host in hosts for name in host.plan.stacks}
    return {
        stack.direction.served_as: Route(stack.direction, by_name[stack.direction.served_as])
        for stack in generation.stacks
    }
