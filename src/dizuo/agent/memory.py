"""Whether two generations fit in memory side by side, decided before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from dizuo.agent.engine_process import EnginePlan
from dizuo.agent.fleet import Fleet, plan_engines
from dizuo.agent.generations import Generation
from dizuo.families import registry

_CGROUP = Path("/sys/fs/cgroup")


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


def free_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory that can still be taken: by the machine, or by the container if that has less.

    A container's count includes the page cache, which the kernel gives back when it is asked to:
    without that distinction a large fetch would look like a machine that is full.
    """
    free = int(psutil.virtual_memory().available)
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    if not limit.isdigit():
        return free
    taken = max(0, used - _reclaimable_bytes(cgroup))
    return min(free, max(0, int(limit) - taken))


def _reclaimable_bytes(cgroup: Path) -> int:
    """`inactive_file` of memory.stat: cached files nobody used lately; 0 where it is not said."""
    try:
        fields = dict(
            line.split(maxsplit=1) for line in (cgroup / "memory.stat").read_text().splitlines()
        )
        return max(0, int(fields.get("inactive_file", 0)))
    except (OSError, ValueError):
        return 0
