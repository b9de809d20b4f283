"""Whether two generations fit in memory side by side, decided before anything is started."""

from __future__ import annotations

from dataclasses import dataclass

from dizuo.agent.engine_process import EnginePlan
from dizuo.agent.fleet import Fleet, plan_engines
from dizuo.agent.generations import Generation
from dizuo.core.memory import free_bytes
from dizuo.families import registry


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """Bounds on memory, in bytes. A limit of 0 asks the machine, or the container, what is free."""

    engines_at_most: int = 0
    reserve: int = 128_000_000


def estimate_bytes(generation: Generation) -> int:
    """What the engines of a generation will take, as their families say.

    Raises:
        LayerRefused: a layer's files cannot be read.
    """
    return sum(
        registry.footprint(plan.family).engine_bytes(
            plan.stacks, file_bytes=_file_bytes(generation, plan)
        )
        for plan in plan_engines(generation, 1)
    )


def _file_bytes(generation: Generation, plan: EnginePlan) -> int:
    """Bytes of the distinct files that one engine opens."""
    distinct = {
        file.digest: file.size_bytes
        for stack in generation.stacks
        if stack.direction.served_as in plan.stacks
        for file in stack.staged
    }
    return sum(distinct.values())


def fits_beside(current: Fleet, new: Generation, rules: MemoryRules) -> bool:
    """Whether the engines of `new` can run while those of `current` still do; reads files.

    Raises:
        LayerRefused: as `estimate_bytes`.
    """
    needed = estimate_bytes(new)
    if rules.engines_at_most:
        return current.memory_bytes() + needed <= rules.engines_at_most
    return needed + rules.reserve <= free_bytes()
