"""Log files that do not grow for ever: past a size the content moves to `NAME.1`, of which there is
one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LOG_BYTES_AT_MOST = 16_000_000


def older(path: Path) -> Path:
    """Where the content of a log goes when it is full."""
    return path.with_name(f"{path.name}.1")


def rotate(path: Path, bytes_at_most: int) -> None:
    """Begin a log anew that is opened again for each line, if it is larger than that.

    Raises:
        OSError: it cannot be renamed.
    """
    if _is_larger(path, bytes_at_most):
        os.replace(path, older(path))


def rotate_open(path: Path, bytes_at_most: int) -> None:
    """The same for a log that other processes hold open for appending: they go on in the same file,
    which is emptied. Lines written in between the two steps are lost.

    Raises:
        OSError: it cannot be copied.
    """
    if _is_larger(path, bytes_at_most):
        shutil.copyfile(path, older(path))
        os.truncate(path, 0)


def _is_larger(path: Path, num_bytes: int) -> bool:
    try:
        return path.stat().st_size > num_bytes
    except FileNotFoundError:
        return False
