"""Whether this machine has the memory for an engine, decided before one is opened. Light."""

from __future__ import annotations

from collections.abc import Mapping

from dizuo.artifacts.model import StackFiles
from dizuo.core.errors import InvalidInput
from dizuo.core.memory import free_bytes
from dizuo.families import registry


def require_room(family: str, stacks: Mapping[str, StackFiles]) -> None:
    """Refuse to open an engine for these stacks where it takes more memory than is free.

    Raises:
        InvalidInput: it does; says how much, and what makes it less.
        LayerRefused: a file that tells it cannot be read.
    """
    footprint = registry.footprint(family)
    needed = footprint.engine_bytes(stacks, file_bytes=_file_bytes(stacks))
    require_bytes(needed, next_step=footprint.SMALLER)


def require_bytes(needed: int, *, next_step: str) -> None:
    """Refuse an engine that takes so many bytes where fewer are free.

    Raises:
        InvalidInput: fewer are.
    """
    available = free_bytes()
    if needed > available:
        raise InvalidInput(
            f"An engine for it takes about {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB are free here.",
            next_step=next_step,
        )


def _file_bytes(stacks: Mapping[str, StackFiles]) -> int:
    """Bytes of the stacks' files, those that are one file on disk counted once."""
    folders = {layer.directory for files in stacks.values() for layer in files.layers}
    found = [path.stat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum({(one.st_dev, one.st_ino): one.st_size for one in found}.values())
