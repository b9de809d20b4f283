"""A full disk, told in one sentence."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dizuo.artifacts.errors import DiskFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NEXT_STEP = "Free some space and try again; what is already there is not fetched twice."


@contextmanager
def telling_full_disk(what: str) -> Iterator[None]:
    """Turn "no space", "quota exceeded" and "file too large" from inside the block into `DiskFull`.

    Args:
        what: what was being written, for the sentence.

    Raises:
        DiskFull: the block ran out of room. Other `OSError`s pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise DiskFull(f"The disk has no room left for {what}.", next_step=_NEXT_STEP) from error


def require_room(directory: Path, num_bytes: int) -> None:
    """Refuse to begin what cannot fit, so that a site keeps its last free bytes.

    Raises:
        DiskFull: the file system of `directory` has fewer than `num_bytes` free.
    """
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < num_bytes:
        raise DiskFull(
            f"{num_bytes} bytes are needed under {directory} and {free_bytes} are free.",
            next_step=_NEXT_STEP,
        )
