"""Memory that a program may still take, on a machine and in a container."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


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
